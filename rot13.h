/*
 * ROT13: each letter becomes the one 13 places on in the alphabet, wrapping
 * round; twice 13 is 26, so doing it again brings the text back.  It hides the
 * end of a joke from a glance, no more: the usage grew up on Usenet, in
 * net.jokes, in the early 1980s.
 *
 * This is the one file that all stages share.
 */
#ifndef ROT13_H
#define ROT13_H

#include <stddef.h>

/*
 * Takes any byte, gives its ROT13: A-Z and a-z rotate within their own case,
 * every other byte, 0x00 and 0x80 to 0xFF included, comes back as it is.
 * ASCII always: the locale does not matter.
 */
char rot13_char(char c);

/*
 * Rotates the LEN bytes at BUF in place, each as rot13_char() does.  Newlines
 * and NULs are bytes like any other.  LEN may be 0; nothing is touched then,
 * and BUF may be anything.  It cannot fail.
 */
void rot13(char *buf, size_t len);

#endif
