/* Its first call of malloc is for much. */
#include <stdlib.h>

static void *(*volatile get)(size_t) = malloc;

int main(void)
{
	return !get(100000);
}
