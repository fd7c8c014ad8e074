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
    /* In ASCII, 0x20 is all that tells 'A' from 'a'.  Signed, whatever char is here:
     * so 0x80 to 0xFF are less than any letter. */
    signed char lower = (signed char)(c | 0x20);
    int step = lower <= 'm' ? 13 : -13;

    return (char)(lower >= 'a' && lower <= 'z' ? c + step : c);
}

void
rot13(char *buf, size_t len)
{
    for (size_t i = 0; i < len; ++i)
        buf[i] = rot13_char(buf[i]);
}
