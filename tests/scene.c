/*
 * A scene: see scene.h.
 */
#include "scene.h"

void set_scene(struct scene *scene, size_t kind, size_t size)
{
	scene->arena = new_arena(32 * MIB, &both[kind]);
	scene->size = size;
	for (int i = 0; i < 200; i++) {
		scene->before = acre_malloc(scene->arena, size);
		scene->block = acre_malloc(scene->arena, size);
		scene->behind = acre_malloc(scene->arena, size);
		must(scene->before && scene->block && scene->behind, "%zu bytes", size);
		scene->size = acre_usable_size(scene->arena, scene->block);
		/* The last, too, must have a neighbour that isn't free. */
		must(acre_malloc(scene->arena, size) != NULL, "%zu bytes", size);
		if (scene->block == scene->before + scene->size + 8 &&
		    scene->behind == scene->block + scene->size + 8)
			break;
		must(i < 199, "no three blocks lie side by side");
	}
	memset(scene->before, 0x11, scene->size);
	memset(scene->block, 0x22, scene->size);
	memset(scene->behind, 0x33, scene->size);
}

void end_scene(struct scene *scene)
{
	end_arena(scene->arena);
}
