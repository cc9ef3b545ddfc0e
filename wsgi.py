"""What gunicorn serves: the portal, set up from the environment."""

from webapp import create_app
from webapp.config import Settings

app = create_app(Settings())
