"""What the provider ended (OpenID Connect Back-Channel Logout 1.0), for as long as it can be repeated."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "logouts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(64)),
        sa.Column("sid", sa.Text()),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("until", sa.Float(53), nullable=False),
    )
