"""Sign-ins: until now a signed cookie, which nothing could end."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    moment = sa.Float(53)
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("sub", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text()),
        sa.Column("auth_time", moment),
        sa.Column("proved", sa.Boolean(), nullable=False),
        sa.Column("browser", sa.String(80), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("used", moment, nullable=False),
        sa.Column("ended", moment),
    )
    op.create_index("sign_ins_of_person", "sign_ins", ["person"])
    op.create_index("ix_sign_ins_created", "sign_ins", ["created"])
