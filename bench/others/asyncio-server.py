#!/usr/bin/env python3
# A ROT13 line server on Python's asyncio, as short as it goes.  To be measured.
import asyncio

ROT13 = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    b"NOPQRSTUVWXYZABCDEFGHIJKLMnopqrstuvwxyzabcdefghijklm",
)


async def child(reader, writer):
    while line := await reader.readline():
        writer.write(line.translate(ROT13))
        await writer.drain()
    writer.close()


async def run():
    server = await asyncio.start_server(child, "127.0.0.1", 40713, backlog=4096)
    await server.serve_forever()


asyncio.run(run())
