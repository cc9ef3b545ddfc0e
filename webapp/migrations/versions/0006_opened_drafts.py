"""When a draft's page was first opened: those that never were may go first."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("drafts", sa.Column("opened", sa.Float(53)))
    op.create_index("drafts_of_address", "drafts", ["address_hash"])
