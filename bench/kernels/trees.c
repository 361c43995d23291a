/*
 * Binary trees built and dropped, while one stays: the benchmark game's binary-trees. The amount is
 * in trees of depth 12, or as many nodes in smaller ones.
 */
#include "kernel.h"

struct node {
	struct node *left, *right;
};

static struct node *plant(int depth)
{
	struct node *node = malloc(sizeof(*node));

	if (!node)
		refused(sizeof(*node));
	node->left = depth ? plant(depth - 1) : NULL;
	node->right = depth ? plant(depth - 1) : NULL;
	return node;
}

static void fell(struct node *node)
{
	if (node->left) {
		fell(node->left);
		fell(node->right);
	}
	free(node);
}

static void trees(long amount)
{
	enum { LEAST = 4, MOST = 12, LASTING = 16 };
	struct node *lasting = plant(LASTING);

	while (amount--) {
		int depth = LEAST + (int)(amount % ((MOST - LEAST) / 2 + 1)) * 2;

		for (int left = 1 << (MOST - depth); left > 0; left--)
			fell(plant(depth));
	}
	fell(lasting);
}

const struct kernel tree_kernels[] = {
	{ "trees", "binary trees of 16-byte nodes built and dropped, while one stays", trees },
	{ NULL, NULL, NULL },
};
