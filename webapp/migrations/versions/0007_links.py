"""Shared texts, and what remembers that it came from one."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "links",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("slug", sa.String(10), nullable=False, unique=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("ask", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Float(53), nullable=False),
        sa.Column("used", sa.Float(53), nullable=False),
        sa.Column("withdrawn", sa.Float(53)),
    )
    op.create_index("links_of_person", "links", ["person", "created"])
    op.add_column("launches", sa.Column("link", sa.Uuid()))
    op.create_index("launches_of_link", "launches", ["link"])
    op.add_column("drafts", sa.Column("link", sa.String(10)))
