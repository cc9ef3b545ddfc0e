"""A draft that was erased stays as a trace without text, so that its address can say so."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("drafts", sa.Column("erased", sa.Float(53)))
