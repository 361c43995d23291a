/*
 * A scene: where the tests of misuse do damage.
 */
#ifndef ACRE_TESTS_SCENE_H
#define ACRE_TESTS_SCENE_H

#include "support.h"

/* Three blocks side by side, of which the middle one is damaged or damages. */
struct scene {
	struct acre *arena;
	size_t size;	/* usable, of each */
	char *before;
	char *block;
	char *behind;
};

/* In both[kind], with live blocks on either side of the three. */
void set_scene(struct scene *scene, size_t kind, size_t size);
void end_scene(struct scene *scene);

#endif
