"""What an hour's work would be at the least: a form, and one call to the API. The measure for the portal.

No sign-in, no token, no memory. The connections are kept, one for each thread that can call.
"""

import os

import requests
from flask import Flask, redirect, request
from requests.adapters import HTTPAdapter
from werkzeug.wrappers import Response

PAGE = """<!DOCTYPE html><html lang="en"><title>Create a scenario</title>
<form method="post" action="/launches"><textarea name="prompt" aria-label="Scenario"></textarea>
<button>Create scenario</button></form></html>"""

app = Flask(__name__)
session = requests.Session()
session.trust_env = False
session.verify = os.environ["SSL_CERT_FILE"]
session.headers["Authorization"] = f"Bearer {os.environ['EXEC_API_KEY']}"
session.mount("https://", HTTPAdapter(pool_maxsize=int(os.environ["THREADS"])))


@app.get("/")
def new() -> str:
    return PAGE


@app.post("/launches")
def create() -> Response:
    body = {"user_email": "p1@acme.example", "prompt": request.form["prompt"]}
    answer = session.post(f"{os.environ['EXEC_API_URL']}/scenario-studio", json=body, timeout=20)
    answer.raise_for_status()
    return redirect(answer.json()["url"], 303)
