#!/usr/bin/env node
// A ROT13 server on Node.js (libuv), as short as it goes.  To be measured: it answers
// what has come in, without waiting for the end of the line.
const net = require('net');

const rot13 = Buffer.alloc(256);
for (let c = 0; c < 256; ++c) {
    const letter = c & ~32;
    const isLetter = letter >= 65 && letter <= 90;
    rot13[c] = isLetter ? ((letter - 65 + 13) % 26) + 65 + (c & 32) : c;
}

const server = net.createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('drain', () => socket.resume());
    socket.on('data', (data) => {
        for (let i = 0; i < data.length; ++i) data[i] = rot13[data[i]];
        if (!socket.write(data)) socket.pause();
    });
});
server.listen({ port: 40713, host: '127.0.0.1', backlog: 4096 });
