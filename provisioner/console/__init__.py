"""The web console: pages for people, made of the same operations as the API.

Every page works without a script; `static/console.js` adds what is live. Nothing is loaded from
elsewhere.
"""
