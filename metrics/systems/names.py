"""Names of systems, told apart without loading anything."""

import re

# openai:MODEL, a chat model of the endpoint that is given apart, or openai:MODEL@URL.
ENDPOINT = re.compile(r"openai:(?P<model>.+?)(@(?P<url>https?://.*))?", re.DOTALL)
# back-translation:MODEL of several languages, or back-translation:THERE,BACK for two models of one direction each.
BACK_TRANSLATION = re.compile(r"back-translation:(?P<there>[^,]+)(,(?P<back>[^,]+))?")
