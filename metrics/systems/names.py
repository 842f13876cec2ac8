"""Names of systems, told apart without loading anything."""

import re

# openai:MODEL, a chat model of the endpoint that is given apart, or openai:MODEL@URL.
ENDPOINT = re.compile(r"openai:(?P<model>.+?)(@(?P<url>https?://.*))?", re.DOTALL)
