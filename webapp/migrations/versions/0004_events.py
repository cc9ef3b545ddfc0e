"""The record of what people and operators did."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("person", sa.String(64)),
        sa.Column("email", sa.Text()),
        sa.Column("launch_id", sa.Uuid()),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_index("events_of_person", "events", ["person", "id"])
    op.create_index("events_of_launch", "events", ["launch_id"])
