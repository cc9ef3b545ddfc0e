"""Launches, calls, the pace and drafts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    moment = sa.Float(53)
    op.create_table(
        "launches",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("form_token", sa.String(64), nullable=False),
        sa.Column("prompt", sa.Text()),
        sa.Column("prompt_hash", sa.String(64)),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(24)),
        sa.Column("detail", sa.Text()),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("url", sa.Text()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("queued", moment, nullable=False),
        sa.Column("not_before", moment, nullable=False),
        sa.Column("seen", moment, nullable=False),
        sa.Column("due", moment, nullable=False),
        sa.Column("lease_until", moment),
        sa.Column("finished", moment),
        sa.Column("erase_after_call", sa.Boolean(), nullable=False),
        sa.Column("erased", moment),
    )
    waiting, kept = sa.text("state = 'waiting'"), sa.text("erased IS NULL")
    op.create_index("launches_of_person", "launches", ["person", "created", "id"])
    op.create_index("launches_queue", "launches", ["queued"], postgresql_where=waiting, sqlite_where=waiting)
    op.create_index("launches_to_erase", "launches", ["created"], postgresql_where=kept, sqlite_where=kept)
    op.create_table(
        "calls",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("launch_id", sa.Uuid(), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("began", moment, nullable=False),
    )
    op.create_index("ix_calls_began", "calls", ["began"])
    op.create_index("calls_of_person", "calls", ["person", "began"])
    pace = op.create_table(
        "pace",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("floor", moment, nullable=False),
        sa.Column("held_until", moment, nullable=False),
        sa.Column("access", sa.String(64), nullable=False),
    )
    op.bulk_insert(pace, [{"id": 1, "floor": 0, "held_until": 0, "access": ""}])
    op.create_table(
        "drafts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("form_token", sa.String(64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("send", sa.Boolean(), nullable=False),
        sa.Column("person", sa.String(64)),
        sa.Column("address_hash", sa.String(64), nullable=False),
        sa.Column("created", moment, nullable=False),
    )
    op.create_index("ix_drafts_created", "drafts", ["created"])
