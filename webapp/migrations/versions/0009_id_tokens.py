"""ID tokens, encrypted, in a table of their own: the provider wants them back at sign-out."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "id_tokens",
        sa.Column("sign_in", sa.String(64), primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
    )
