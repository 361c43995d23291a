/*
 * See complain.h.
 */
#include "complain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void complain(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("acre: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(status);
}
