/*
 * The hand-over protocol, for spin: how blocks that one thread took and others free find their way
 * home, whoever sleeps, leaves, dies or forks meanwhile. Spin looks at every interleaving.
 *
 *	spin -DPOST -a model/handover.pml && cc -DSAFETY -o pan pan.c && ./pan -E -m10000
 *
 * tests/test_model.sh does this for each scenario, and for each bug that can be planted here
 * (PLANT_...), which spin must find.
 *
 *	           took four blocks; two went     POST      TENANCY  FORK
 *	owner      to one freer, one to another   yes       yes      yes
 *	freer      frees its blocks into its      two       one      one
 *	           cache
 *	starver    has no plot at first           no        yes      forks: the others are gone
 *	at_rest    looks at everything when nothing moves any more, reclaims, and looks again
 *
 *	starver:   reclaims, takes a span that came back, then joins and refills a cache
 *
 * Having done its part, a thread sleeps for ever, its cache flushed or not, leaves, or ends without
 * leaving (but in POST, which is about the inbox, freers flush or leave).
 *
 * What stands for what:
 *
 *	here			in lib/
 *	lock, take, try, drop	lock.h; 0 is the registry, 1.. the plots, then the commons
 *	inbox, link		plot->inbox, and the links of the blocks in it
 *	post			plot_post(): the load, the link, the compare-and-swap
 *	drain, give_chain	plot_drain(); plot_give() and retire()
 *	hand_back, release	hand_back() with commons_unlease(), plot_release()
 *	send			cache.c's send(): tries, else posts and looks a second time; the
 *				look after each drop
 *	pick_batch, give_all	empty(), give_oldest(), give(): a cache's blocks, owner by owner
 *	flush			cache_flush(); plot_leave() and thread.c's leave()
 *	refill			cache_refill(), plot_take_run(), extend(), commons_lease()
 *	join, make_idle		plot_join(), make_idle()
 *	deserted, reap		plot_deserted(), plot_reap(); dead: the kernel doesn't know it
 *	salvage			plot_salvage(), cache_salvage()
 *	reclaim			supply_reclaim()
 *	take_span		commons_take() of a large block, and its free
 *	fork_child		before_fork(), orphan_plots(), after_fork_child()
 *
 * A step is an atomic operation of the code, with what follows it that no other thread can see or
 * hinder: all that's done under a lock, but for the inbox and the holder, which others look at
 * without it. A section under the commons' lock takes no other, so it is one step.
 *
 * Left out: sizes and the index, a plot's second spare lease, small blocks of the commons, the
 * counts of an inbox, plot_held(), the purge. Spin's memory is sequentially consistent: whether the
 * releases and acquires of the code suffice is for ThreadSanitizer to tell, and what the code does
 * between the steps for tests/test_interleavings.c.
 *
 * Properties, as assertions:
 *	P1 No block is lost, none is in two places. What comes home was cached, in no cache's row,
 *	   and its plot has the lease it lies in. At rest, after a reclaim, every block that isn't
 *	   live nor in the cache of a thread that sleeps is in its heap (G4).
 *	P2 At rest, after a reclaim, no plot has a lease that's wholly free (G2).
 *	P3 Who holds a plot's lock to drain its inbox leaves nothing that lay there when he took it.
 *	   And at rest, before anybody reclaims, a post lies in an inbox only if the lock was held
 *	   when it came, or later, by one who wasn't sending: he may have looked before.
 *	P4 A lease that goes back has no block that's live, cached or posted.
 *	P5 Nobody waits for ever.
 *	P6 A plot has one thread at a time, and is in the list of idle plots once.
 */

#define PLOTS		4
#define REGISTRY	0
#define COMMONS		5	/* PLOTS + 1 */
#define LOCKS		6
#define SPANS		2
#define BLOCKS		5	/* 1 to 4 lie in span 1, 5 in span 2 */
#define span_of(b)	(1 + (b) / 5)
#define THREADS		4

/* States of a block. */
#define LAND		0
#define LIVE		1
#define CACHED		2

byte lock[LOCKS];		/* who has it: pid + 1; 0 = nobody */
byte inbox[COMMONS];		/* by plot: the block pushed last, 0 = none */
byte link[BLOCKS + 1];
byte state[BLOCKS + 1];		/* as the tag has it */
byte home[BLOCKS + 1];		/* the tag's plot */
byte bin[BLOCKS + 1];		/* the plot whose cache has it, 0 = none */
byte has_span[SPANS + 1];	/* the plot that has the lease; 0 = the commons */
bool taken[SPANS + 1];		/* a large block in the commons */
byte holder[COMMONS];		/* a plot's thread: pid + 1 */
bool orphan[COMMONS];
byte plots;			/* made so far */
byte idle, next_idle[COMMONS];

/* The threads, as the program and the kernel know them. */
#define ME		(_pid + 1)
bool dead[THREADS + 2];
byte ended;
byte forker;			/* once it has forked: no other is alive in the child */
#ifdef FORK
#define ALIVE	provided (!forker || forker == _pid + 1 || _pid == THREADS)
#else
#define ALIVE
#endif

/* What P3 needs to know of each inbox: how its newest post came to lie there. */
#define SEEN		0	/* the lock was held then, or has been since */
#define UNSEEN		1
#define LEFT_BY_SENDER	2
byte left[COMMONS];
bool old[COMMONS];		/* something lay there when the lock was taken */

/*
 * Locks.
 */
inline note_take(l)
{
	if
	:: l != REGISTRY && l != COMMONS -> old[l] = inbox[l] != 0
	:: else
	fi
}

inline take(l)
{
	atomic { !lock[l] -> lock[l] = ME; note_take(l) }
}

inline try(l, ok)
{
	atomic {
		ok = !lock[l];
		if
		:: ok -> lock[l] = ME; note_take(l)
		:: else
		fi
	}
}

/* At the end of a section that doesn't drain. */
inline drop(l)
{
	d_step {
		assert(lock[l] == ME);
		lock[l] = 0;
		if
		:: l != REGISTRY && l != COMMONS -> left[l] = SEEN; old[l] = false
		:: else
		fi
	}
}

inline drop_drained(l, how)
{
	d_step {
		assert(!old[l]);						/* P3 */
		assert(lock[l] == ME);
		lock[l] = 0;
		left[l] = (inbox[l] -> how : SEEN)
	}
}

/* A section that takes no other lock is one step. */
#define under_commons	!lock[COMMONS]

/*
 * Plots: heaps, leases, inboxes. Under the plot's lock, but for post().
 */
#define all_land(s) \
	((s) == 1 -> !state[1] && !state[2] && !state[3] && !state[4] : !state[5])
#ifdef PLANT_POST_COUNTS_AS_FREE
#define used(i)		(state[i] == LIVE || (state[i] == CACHED && bin[i]))
#define span_empty(s) \
	((s) == 1 -> !used(1) && !used(2) && !used(3) && !used(4) : !used(5))
#else
#define span_empty(s)	all_land(s)
#endif

inline hand_back(s)
{
	under_commons ->
	assert(all_land(s));							/* P4 */
	has_span[s] = 0
}

/* A chain of blocks, from `at` on, comes home. */
inline give_chain(p)
{
	do
	:: !at -> break
	:: else ->
		assert(lock[p] == ME);
		assert(state[at] == CACHED && !bin[at]);			/* P1 */
		assert(home[at] == p && has_span[span_of(at)] == p);		/* P1 */
		state[at] = LAND;
		home[at] = 0;
		s = span_of(at);
		next = link[at];
		link[at] = 0;
		at = next;
		if
		:: span_empty(s) && !holder[p] -> hand_back(s)
		:: else
		fi
	od;
	s = 0;
	next = 0
}

inline drain(p)
{
#ifdef PLANT_DRAIN_BY_STORE
	at = inbox[p];
#endif
	atomic {
#ifndef PLANT_DRAIN_BY_STORE
		at = inbox[p];
#endif
		inbox[p] = 0;
		left[p] = SEEN;
		old[p] = false;
		give_chain(p)
	}
}

inline release(p)
{
	atomic {
		s = 1;
		do
		:: s > SPANS -> break
		:: else ->
			if
			:: has_span[s] == p && span_empty(s) -> hand_back(s)
			:: else
			fi;
			s++
		od;
		s = 0
	}
}

/* The batch from first to last. */
inline post(p)
{
	head = inbox[p];
	do
	:: atomic {
			link[last] = head;
			if
#ifndef PLANT_PUSH_BY_STORE
			:: inbox[p] != head -> head = inbox[p]
#endif
			:: else ->
				inbox[p] = first;
				left[p] = UNSEEN;
				first = 0;
				last = 0;
				head = 0;
				break
			fi
		}
	od
}

/*
 * Caches: under the lock of the cache's plot.
 */

/* The batch from first to last goes home to another plot. */
inline send(p)
{
	try(p, ok);
	if
	:: ok
	:: else ->
		post(p);
#ifndef PLANT_NO_SECOND_LOOK
		try(p, ok)
#endif
	fi;
	do
	:: !ok -> break
	:: else ->
		drain(p);
		if
		:: first -> atomic { at = first; first = 0; last = 0; give_chain(p) }
		:: else ->
			drop_drained(p, LEFT_BY_SENDER);
#ifdef PLANT_NO_LOOK_AFTER_DROP
			ok = false
#else
			if
			:: !inbox[p] -> ok = false
			:: else -> try(p, ok)
			fi
#endif
		fi
	od
}

/* What the cache of plot p has, from its first block on, of one owner: q; 0 if it's empty. */
inline pick_batch(p)
{
	i = 1;
	do
	:: i > BLOCKS -> break
	:: else ->
		if
		:: bin[i] == p && (!first || home[i] == home[first]) ->
			if
			:: first -> link[last] = i
			:: else -> first = i
			fi;
			last = i;
			link[last] = 0;
			bin[i] = 0
		:: else
		fi;
		i++
	od;
	i = 0;
	q = (first -> home[first] : 0)
}

inline give_all(p)
{
	do
	:: atomic {
			pick_batch(p);
			if
			:: !q -> break
			:: q && q == p -> at = first; first = 0; last = 0; give_chain(p)
			:: q && q != p
			fi
		}
		if
		:: first -> send(q)
		:: else
		fi
	od
}

inline salvage(p)
{
	if
	:: orphan[p] ->
		orphan[p] = false;
#ifndef PLANT_NO_SALVAGE
		give_all(p)
#endif
	:: else
	fi
}

/* Blocks for the cache, from a lease that the plot has or gets. */
inline refill(p)
{
	take(p);
	drain(p);
	atomic {
		s = 1;
		do
		:: s <= SPANS && has_span[s] != p -> s++
		:: else -> break
		od;
		if
		:: s > SPANS ->
			under_commons ->
			s = 1;
			do
			:: s <= SPANS && (has_span[s] || taken[s]) -> s++
			:: else -> break
			od;
			if
			:: s <= SPANS -> has_span[s] = p
			:: else
			fi
		:: else
		fi;
		i = 1;
		do
		:: i > BLOCKS -> break
		:: else ->
			if
			:: s <= SPANS && span_of(i) == s && state[i] == LAND ->
				state[i] = CACHED;
				home[i] = p;
				bin[i] = p
			:: else
			fi;
			i++
		od;
		i = 0;
		s = 0
	}
	drop_drained(p, SEEN)
}

/*
 * Tenancy.
 */
inline make_idle(p)
{
	atomic {
		under_commons ->
		i = idle;
		do
		:: !i -> break
		:: else -> assert(i != p); i = next_idle[i]			/* P6 */
		od;
		next_idle[p] = idle;
		idle = p
	}
}

/* The cache is flushed; and the thread leaves, or sleeps. */
inline flush(p, leaves)
{
	if
	:: leaves -> take(REGISTRY)
	:: else
	fi;
	take(p);
	give_all(p);
	drop(p);
	if
	:: leaves ->
		take(p);
		holder[p] = 0;
#ifndef PLANT_LEAVE_WITHOUT_DRAIN
		drain(p);
#endif
		release(p);
		drop_drained(p, SEEN);
		make_idle(p);
		drop(REGISTRY);
		p = 0
	:: else
	fi
}

#define deserted(p)	(holder[p] && dead[holder[p]])

inline reap()
{
	r = 1;
	do
	:: r > plots -> break
	:: else ->
		if
		:: deserted(r) ->
#ifndef PLANT_REAP_WITHOUT_LOCK
			take(r);
#endif
			d_step {
#ifdef PLANT_REAP_WITHOUT_LOCK
				yes = true;
#else
				yes = deserted(r);
#endif
				if
				:: yes -> holder[r] = 0; orphan[r] = true
				:: else
				fi
			}
#ifndef PLANT_REAP_WITHOUT_LOCK
			drop(r);
#endif
			if
			:: yes -> make_idle(r); yes = false
			:: else
			fi
		:: else
		fi;
		r++
	od;
	r = 0
}

inline join(p)
{
	if
	:: !idle -> reap()
	:: else
	fi;
	atomic {
		under_commons ->
#ifdef PLANT_TWO_ORDERS
		lock[COMMONS] = ME;
#endif
		if
		:: idle -> p = idle; idle = next_idle[p]; next_idle[p] = 0
		:: else -> plots++; p = plots; assert(plots <= PLOTS)
		fi
	}
	take(p);
#ifdef PLANT_TWO_ORDERS
	lock[COMMONS] = 0;
#endif
	salvage(p);
	drain(p);
	atomic { assert(!holder[p]); holder[p] = ME }				/* P6 */
	drop_drained(p, SEEN)
}

/*
 * Supply.
 */
inline reclaim()
{
	reap();
	r = 1;
	do
	:: r > plots -> break
	:: else ->
		take(r);
		salvage(r);
#ifdef PLANT_ONE_PASS
		drain(r);
		release(r);
#endif
		drop(r);
		r++
	od;
#ifndef PLANT_ONE_PASS
	r = 1;
	do
	:: r > plots -> break
	:: else ->
		take(r);
		drain(r);
		release(r);
		drop_drained(r, SEEN);
		r++
	od;
#endif
	r = 0
}

/* A large block, and it's free again. */
inline take_span()
{
	atomic {
		under_commons ->
		s = 1;
		do
		:: s <= SPANS && has_span[s] -> s++
		:: else -> break
		od;
		if
		:: s <= SPANS -> taken[s] = true
		:: else
		fi
	}
	atomic {
		under_commons ->
		if
		:: s <= SPANS ->
			assert(all_land(s));					/* P1 */
			taken[s] = false
		:: else
		fi;
		s = 0
	}
}

/* Of the threads, the forking one alone lives on, in the child. */
inline fork_child()
{
	take(REGISTRY);
	r = 0;
	do
	:: r < plots -> r++; take(r)
	:: else ->
		take(COMMONS);
		if
		:: r == plots -> break
		:: else -> drop(COMMONS)
		fi
	od;
	atomic {
		forker = ME;
		ended = THREADS - 1;
		idle = 0;
		do
		:: !r -> break
		:: else ->
			holder[r] = 0;
#ifndef PLANT_NO_ORPHANS
			orphan[r] = true;
#endif
			next_idle[r] = idle;
			idle = r;
			lock[r] = 0;
			old[r] = false;
			left[r] = SEEN;
			r--
		od;
		lock[COMMONS] = 0;
		lock[REGISTRY] = 0
	}
}

/*
 * The threads.
 */
#define is_owner	(_pid == 0)
#define is_freer	(_pid == 1 || _pid == 2)
#define is_starver	(_pid == 3)
#define is_at_rest	(_pid == THREADS)
#ifdef POST
#define ABSENT		3
#else
#define ABSENT		2
#endif

/* The owner has joined, refilled its cache and handed blocks on before all else begins. */
inline set_up()
{
	d_step {
		plots = 1;
		p = 1;
		holder[1] = 1;
		has_span[1] = 1;
		home[1] = 1; home[2] = 1; home[4] = 1;
		state[1] = LIVE; state[2] = LIVE;
#ifdef POST
		home[3] = 1; state[3] = LIVE;
#endif
		state[4] = CACHED; bin[4] = 1
	}
}

/* Two of them come into the cache of one freer, the third into that of the other. */
inline free_some()
{
	atomic {
		if
		:: _pid == 1 ->
			assert(state[1] == LIVE && state[2] == LIVE);
			state[1] = CACHED; bin[1] = p;
			state[2] = CACHED; bin[2] = p
		:: else ->
			assert(state[3] == LIVE);
			state[3] = CACHED; bin[3] = p
		fi
	}
}

inline look_at_rest()
{
	d_step {
		assert(ended == THREADS);						/* P5 */
		p = 1;
		do
		:: p > PLOTS -> break
		:: else -> assert(!inbox[p] || left[p] == SEEN); p++		/* P3 */
		od;
		p = 0
	}
}

inline look_after_reclaim()
{
	d_step {
		p = 1;
		do
		:: p > PLOTS -> break
		:: else -> assert(!inbox[p]); p++				/* P1 */
		od;
		p = 1;
		do
		:: p > BLOCKS -> break
		:: else ->
			assert(state[p] == LAND || state[p] == LIVE ||		/* P1 */
			       (bin[p] && holder[bin[p]]));
			p++
		od;
		p = 1;
		do
		:: p > SPANS -> break
		:: else ->
			assert(!has_span[p] || !all_land(p));			/* P2 */
			p++
		od
	}
}

active [THREADS + 1] proctype thread() ALIVE
{
	byte p, q, r, s, i, at, next, head, first, last;
	bool ok, yes, leaves;

	if
	:: _pid == ABSENT -> goto done
	:: is_owner -> set_up(); goto set
	:: is_freer && _pid != ABSENT -> plots
	:: is_starver && _pid != ABSENT -> plots
	:: is_at_rest -> timeout; look_at_rest()
	fi;
#ifdef FORK
	if
	:: is_starver -> fork_child()
	:: else
	fi;
	if
	:: is_at_rest -> reclaim()
	:: else
	fi;
#else
	if
	:: is_starver || is_at_rest -> reclaim()
	:: else
	fi;
	if
	:: is_starver -> take_span()
	:: else
	fi;
#endif
	if
	:: is_at_rest -> look_after_reclaim(); goto end
	:: else
	fi;
	join(p);
set:
	if
	:: is_freer -> free_some()
	:: is_owner
#ifdef POST
	:: is_owner -> refill(p)
#endif
#ifdef FORK
	:: is_starver
#else
	:: is_starver -> refill(p)
#endif
	fi;
	if
#ifdef POST
	:: is_owner					/* sleeps, its cache as it is */
#else
	:: true						/* sleeps, its cache as it is */
	:: dead[ME] = true				/* is gone without leaving */
#endif
	:: true ->
		if
		:: true					/* sleeps, its cache flushed */
		:: leaves = true
		fi;
		flush(p, leaves)
	fi;
done:
	ended++;
end:
}
