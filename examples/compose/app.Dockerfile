# The app of the example; yours takes its place. It listens on $HOST:$PORT and names $RELEASE at /health.
FROM node:22-alpine
COPY server.js /app/server.js
USER node
CMD ["node", "/app/server.js"]
