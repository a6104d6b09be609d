// A small real app: a page, a health answer that names its release, and an orderly end.
const http = require('node:http');
const release = process.env.RELEASE ?? 'dev';
const started = Date.now();

const server = http.createServer((req, res) => {
  res.setHeader('X-Release', release);
  if (req.url === '/health') {
    const body = {status: 'ok', version: release, database: 'connected', uptime: Math.round((Date.now() - started) / 1000)};
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify(body));
    return;
  }
  res.setHeader('Content-Type', 'text/html; charset=utf-8');
  res.end(`<!doctype html><title>shop</title><h1>Shop, release ${release}</h1>\n`);
});

server.listen(Number(process.env.PORT ?? 3000), process.env.HOST ?? '127.0.0.1', () => console.log(`release ${release} on`, server.address()));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
