/*
 * ROT13, see rot13.h.
 *
 * Written so that a compiler can do many bytes at a time: no branch, and every
 * result fits into a byte.  isalpha() would not do, it follows the locale.
 */
#include "rot13.h"

char
rot13_char(char c)
{
    /* In ASCII, 0x20 is all that tells 'A' from 'a'. */
    unsigned char letter = (unsigned char)((c | 0x20) - 'a'); /* 0 to 25: a letter */
    int step = letter < 13 ? 13 : -13;

    return (char)(letter < 26 ? c + step : c);
}

void
rot13(char *buf, size_t len)
{
    for (size_t i = 0; i < len; ++i)
        buf[i] = rot13_char(buf[i]);
}
