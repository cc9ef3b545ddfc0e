"""Runs the migrations on the connection that `store.migration.migrate` holds under its lock."""

from alembic import context

from webapp.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
