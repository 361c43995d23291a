/*
 * Where an image says how its counts are written: see counts.c. The other names take the place of
 * the C library's.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include <stddef.h>
#include <stdio.h>

void counts_join(void (*dump)(void), void (*reset)(void));

_Noreturn void __wrap_abort(void);
_Noreturn void __wrap__exit(int status);
void *__wrap_malloc(size_t size);
void __wrap_free(void *block);
FILE *__wrap_fdopen(int fd, const char *mode);
size_t __wrap_fread(void *to, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *from, size_t size, size_t count, FILE *stream);
int __wrap_fseek(FILE *stream, long offset, int whence);
int __wrap_fclose(FILE *stream);

#endif
