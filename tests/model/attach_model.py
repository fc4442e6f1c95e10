#!/usr/bin/env python3
"""Explicit-state model of how a party finds its peers (docs/fleet.md).

One name. A breadth-first search visits every interleaving of: views learned by each node on its
own (also skipping some), control links that are FIFO per node pair and may break (what was under
way is lost, or still arrives late), trunks that may break, owner crashes (all its memory is gone),
edge crashes, clients that leave, time-outs that fire too early. Every fault has a budget.

A step of one process is atomic. Bytes are one `d` and the explicit end `e`. Parties are numbered
oldest first; party 0 is the sender. Owners A and B are processes of their own.

FLAGS switch single rules off (or back to an earlier wording) to show that the checks can fail.
"""
import argparse, sys, time
from collections import deque

FLAGS = {
    'undo-all':     'the owner undoes a match by telling every edge; receivers obey while pinned',
    'close-parks':  'a trunk that closes before its head means "parked again", whoever closed it',
    'head-fails':   'a trunk that breaks before its head fails the client',
    'rejoin':       'a trunk dialled again after the start is let in',
    'no-resume':    'Resume only after a new view, not after a lost link',
    'old-link':     'frames of an older link are still read when a newer one is there',
    'keep-seats':   'the owner keeps the places of a match whose sender\'s edge it lost',
    'no-try':       'a second dial of a trunk carries no number',
    'ready-now':    'an owner with an older view drops Ready and Resume instead of holding them',
    'told-last':    'Released and Ended go to the newest owner only, not to every owner told of the transfer',
    'no-attempt':   'the owner ignores attempt numbers',
    'begin-any':    'an edge obeys Begin without comparing attempts',
    'no-xid':       'trunks and control messages are not told apart by transfer id',
    'owner-commits': 'the owner commits: its Begin is the start',
    'early':        'the sender starts when the first lane is connected',
    'eof':          'a trunk that closes counts as the end of the stream',
    'moved-epoch':  'an edge ignores Moved when its own view is newer',
    'forget-seat':  'a party that comes back is refused like a newcomer when its place is taken',
    'pinned-leaves': 'a view change or lost link un-pins a pinned party',
    'no-freed':     'the end is shown without waiting for Freed',
    'no-released':  'Resume does not say that the name is free already',
}
LIVE = 'NPBT'           # new, attaching or parked (an edge treats both alike), pinned, streaming
# other party states: Z not arrived, D done clean, F failed (its client saw an error),
# G its client left, C its edge died, J refused as a newcomer


class Spec:
    """A scenario: who is where, the views, the fault budgets, the rules switched off."""
    def __init__(self, name, views, edges, n=1, spare=False, link=0, trunk=0, owner=0, edge=0,
                 leave=0, early=0, skip=True):
        self.name, self.views, self.edges, self.n, self.spare = name, views, edges, n, spare
        self.budget = (link, trunk, owner, edge, leave, early)
        self.skip, self.off = skip, frozenset()      # skip: nodes may miss views in between

    def owner(self, view): return 'AB'.index(self.views[view])


LINK, TRUNK, OWNER, EDGE, LEAVE, EARLY = range(6)


class World:
    """One state, thawed. `freeze` gives the hashable form."""
    __slots__ = ('sp', 'view', 'party', 'owner', 'link', 'trunk', 'com', 'nx', 'spos', 'free', 'bud', 'bad')

    def __init__(self, sp, f=None):
        self.sp, self.bad = sp, None
        if f is None:
            ne = max(sp.edges) + 1
            self.view = [0] * ne
            # state, attempt, owner, transfer, view to wait for, bytes got
            self.party = [('N', 0, None, None, 0, 0) for _ in sp.edges]
            if sp.spare: self.party[-1] = ('Z',) + self.party[-1][1:]
            self.owner = [(0, frozenset(), None), (0, frozenset(), None)]   # view, places, transfer
            self.link = {(e, o): (0, False, ()) for e in range(ne) for o in (0, 1)}
            self.trunk, self.com, self.nx, self.spos, self.bud = {}, (), 0, 0, list(sp.budget)
            # None: not said yet; else the owners whose Freed is still missing
            self.free = None
        else:
            self.view, self.party, self.owner = list(f[0]), list(f[1]), list(f[2])
            self.link, self.trunk = dict(f[3]), dict(f[4])
            self.com, self.nx, self.spos, self.bud, self.free = f[5], f[6], f[7], list(f[8]), f[9]

    def freeze(self):
        return (tuple(self.view), tuple(self.party), tuple(self.owner), tuple(self.link.items()),
                tuple(sorted(self.trunk.items())), self.com, self.nx, self.spos, tuple(self.bud), self.free)

    # ---- control links: (generation, broken and not yet noticed by the edge, queues by generation)
    def _queue(self, e, o, g, up=None, down=None):
        gen, brk, qs = self.link[e, o]
        d = {q[0]: q for q in qs}
        _, u, w = d.get(g, (g, (), ()))
        d[g] = (g, u if up is None else up(u), w if down is None else down(w))
        self.link[e, o] = (gen, brk, tuple(d[k] for k in sorted(d) if d[k][1] or d[k][2]))
    def up(self, e, o, m):
        gen, brk, _ = self.link[e, o]
        if not brk and self.view[e] >= 0: self._queue(e, o, gen, up=lambda u: u + (m,))
    def down(self, e, o, g, m):
        gen, brk, _ = self.link[e, o]
        if g == gen and not brk and self.view[e] >= 0: self._queue(e, o, g, down=lambda w: w + (m,))

    # ---- edges
    def setp(self, p, st=None, att=None, o=-1, x=-1, minv=None, got=None):
        a = self.party[p]
        self.party[p] = (st or a[0], a[1] if att is None else att, a[2] if o == -1 else o,
                         a[3] if x == -1 else x, a[4] if minv is None else minv, a[5] if got is None else got)

    def attach(self, p):
        """Turn to the owner of the newest local view, with the next attempt."""
        e = self.sp.edges[p]
        st, att, old, _, minv, _ = self.party[p]
        if self.view[e] < minv: return self.setp(p, 'N', x=None)
        o = self.sp.owner(self.view[e])
        if old is not None and old != o: self.up(e, old, ('Leave', p, att))
        self.up(e, o, ('Attach', p, att + 1, self.view[e]))
        self.setp(p, 'P', att + 1, o, None)
    def say(self, p, *m):
        """The sender's edge tells the owner that began the transfer and the newest one; the end
        of a transfer goes to every owner ever told of it (to others it means nothing)."""
        tell = {self.party[p][2], self.sp.owner(self.view[self.sp.edges[p]])}
        if m[0] in ('Ended', 'Unready') and 'told-last' not in self.sp.off: tell = {o for o in (0, 1) if self.told(o, m[1])}
        for o in sorted(tell): self.up(self.sp.edges[p], o, m)
    def told(self, o, x):
        """Could a message about x mean anything to owner o? (Saves states, changes nothing.)"""
        tr, e = self.owner[o][2], self.sp.edges[0]
        return tr and tr[0] == x or any(m[0] in ('Ready', 'Resume') and m[1] == x for q in self.link[e, o][2] for m in q[1])
    def members(self):
        return tuple((p, a[1]) for p, a in enumerate(self.party))
    def fail(self, p): self.setp(p, 'F')

    def edge_learns(self, e, v):
        self.view[e] = v
        for p, pe in enumerate(self.sp.edges):
            if pe != e: continue
            st, att, o, x, minv, _ = self.party[p]
            now = self.sp.owner(v)
            if st in 'P' and now != o or st == 'N' and v >= minv: self.attach(p)
            elif st == 'B' and now != o and 'pinned-leaves' in self.sp.off: self.unpin(p)
            elif p == 0 and st == 'T' and ('no-resume' not in self.sp.off or now != o):
                self.resume(now, x, v)
                self.setp(p, o=now)
    def resume(self, o, x, v):
        """The sender's edge tells owner o of its running transfer again; it answers Freed if the name
        is free already."""
        free = self.free is not None and 'no-released' not in self.sp.off
        self.up(self.sp.edges[0], o, ('Resume', x, self.roll(x), v, free))
        if free: self.free = tuple(sorted({*self.free, o}))
    def release(self):
        """The body is complete: every owner that was told is to free the name first."""
        e, x = self.sp.edges[0], self.party[0][3]
        tell = [o for o in (0, 1) if self.told(o, x)]
        if 'told-last' in self.sp.off: tell = [self.sp.owner(self.view[e])]
        for o in tell: self.up(e, o, ('Released', x))
        self.free = tuple(o for o in tell if not self.link[e, o][1])
    def unpin(self, p):
        self.close_trunk(p) if p else self.shut_all('U')
        self.attach(p)

    def unpin_mates(self, p):
        """All parties of a trunk that has not started let go of it together."""
        t = next(t for t, v in self.trunk.items() if p in v[0] and v[3] is not None)
        ps = [q for q in self.trunk[t][0] if self.party[q][0] == 'B']
        self.close_trunk(p)
        for q in ps: self.attach(q)
    def roll(self, x):
        """Who takes part in x, with attempts, as the sender's edge knows it from Begin."""
        return self.com_of(x)[1]
    def com_of(self, x):
        return next((c for c in self.com if c[0] == x), (x, self.members()))

    def on_down(self, e, o, g, m):
        """A message from owner o reaches edge e."""
        off, kind = self.sp.off, m[0]
        gen = self.link[e, o][0]
        if kind == 'X':
            self.link[e, o] = (gen + 1, False, self.link[e, o][2])
            if e == self.sp.edges[0] and self.free: self.free = tuple(q for q in self.free if q != o)
            for p, pe in enumerate(self.sp.edges):
                st, _, po, x, *_ = self.party[p]
                if pe != e or po != o and not (p == 0 and st == 'T'): continue
                if st in 'P' or st == 'B' and 'pinned-leaves' in off:
                    self.unpin(p) if st == 'B' else self.attach(p)
                elif p == 0 and st == 'T' and 'no-resume' not in off and self.sp.owner(self.view[e]) == o:
                    self.resume(o, x, self.view[e])
            return
        if kind == 'Begin': return self.on_begin(e, o, m[1], m[2])
        if kind == 'Freed':
            if self.party[0][3] == m[1] and self.free: self.free = tuple(q for q in self.free if q != o)
            return
        if kind == 'Undo':
            for p, pe in enumerate(self.sp.edges):
                if pe == e and self.party[p][0] == 'B' and (self.party[p][3] == m[1] or 'no-xid' in off):
                    if 'undo-all' in off:
                        self.close_trunk(p) if p else self.shut_all('X')
                        self.setp(p, 'P', x=None)
                    elif p == 0: self.give_up()
            return
        p, att = m[1], m[2]
        st, mine, po, *_ = self.party[p]
        if po != o or mine != att or st not in 'P': return
        if kind == 'Refused': self.setp(p, 'J')
        elif kind == 'Lost': self.attach(p)
        elif kind == 'Moved' and not ('moved-epoch' in off and self.view[e] > m[3]):
            self.setp(p, minv=m[3]); self.attach(p)

    def on_begin(self, e, o, x, roll):
        off, here = self.sp.off, [(p, a) for p, a in roll if self.sp.edges[p] == e]
        ok = [p for p, a in here if self.party[p][0] in 'P' and
              ('begin-any' in off or self.party[p][2] == o and self.party[p][1] == a)]
        for p in ok: self.setp(p, 'B', x=x)
        if 'owner-commits' in off:
            for p in ok: self.setp(p, 'T')
            if 0 in ok: self.com += ((x, roll),)
        if 0 in ok and 'owner-commits' not in off: self.com += ((x, roll, 'open'),)
        if 0 in [p for p, _ in here] and 0 not in ok: self.up(e, o, ('Unready', x))
        lanes = tuple(p for p in ok if p)
        if lanes: self.dial(x, e, lanes)
        if 'owner-commits' not in off: self.try_commit()

    # ---- trunks: (transfer, receiving edge, try) -> (lanes, connected, up, down); None: that end is closed
    def dial(self, x, e, lanes):
        if self.view[self.sp.edges[0]] < 0:         # nobody answers there
            for p in lanes: self.attach(p)
            return
        k = 1 + max([t[2] for t in self.trunk if t[:2] == (x, e)], default=-1)
        self.trunk[x, e, k] = (lanes, False, ('dial',), ())
    def sett(self, t, **kw):
        v = dict(zip(('lanes', 'conn', 'up', 'down'), self.trunk[t])); v.update(kw)
        if v['up'] is None and v['down'] is None: del self.trunk[t]
        else: self.trunk[t] = (v['lanes'], v['conn'], v['up'], v['down'])
    def close_trunk(self, p):
        """The receiving edge lets go of p's trunk."""
        for t, (lanes, conn, up, down) in list(self.trunk.items()):
            if p in lanes and down is not None:
                self.sett(t, down=None, up=None if up is None else up + ('close',) if 'X' not in up else up)
    def mine(self, t): return 'no-xid' in self.sp.off or t[0] == self.party[0][3]
    def answer(self, t, m, last=True):
        """The sender's edge writes m on a trunk (nothing, once it broke)."""
        lanes, conn, up, down = self.trunk[t]
        if up is None: return
        if down is not None and 'X' not in down: down += (m,)
        self.sett(t, down=down, **({'up': None, 'conn': False} if last else {}))
    def shut_all(self, m):
        for t, v in list(self.trunk.items()):
            if v[2] is not None and self.mine(t) and v[1]: self.answer(t, m)

    def give_up(self):
        """Not started: the sender's edge refuses every lane, says Unready, parks its sender again."""
        x = self.party[0][3]
        self.shut_all('X' if 'close-parks' in self.sp.off else 'U')
        self.say(0, 'Unready', x)
        self.com = tuple(c for c in self.com if c[0] != x)
        if 'undo-all' in self.sp.off: self.setp(0, 'P', x=None)
        else: self.attach(0)
    def lanes(self):
        return [t for t, v in self.trunk.items() if v[1] and v[2] is not None and self.mine(t)]

    def try_commit(self):
        st, _, _, x, *_ = self.party[0]
        if st != 'B': return
        on = self.lanes()
        have = {p for t in on for p in self.trunk[t][0]}
        if len(have) < (1 if 'early' in self.sp.off else self.sp.n): return
        roll = self.com_of(x)[1]
        if not ('early' in self.sp.off) and have != {p for p, _ in roll if p}:
            self.bad = 'S3 started with lanes of strangers'
        if len(have) < self.sp.n: self.bad = 'S3 started before all lanes are connected'
        self.com = tuple(c for c in self.com if c[0] != x) + ((x, roll),)
        self.setp(0, 'T')
        for t in on: self.answer(t, 'H', last=False)
        self.say(0, 'Ready', x, roll, self.view[self.sp.edges[0]])

    def on_trunk_up(self, t):
        """The sender's edge reads a trunk. False: it holds the dial until it hears of the transfer."""
        lanes, conn, up, down = self.trunk[t]
        m, st, x = up[0], self.party[0][0], self.party[0][3]
        self.sett(t, up=up[1:])
        if m == 'dial':
            if 'no-try' not in self.sp.off and any(u[:2] == t[:2] and u[2] > t[2] for u in self.lanes()):
                self.sett(t, up=None)
            elif st == 'B' and self.mine(t):
                for u in self.lanes():
                    if u[1] == t[1]: self.sett(u, up=None, conn=False)     # the new dial replaces it
                self.sett(t, conn=True); self.try_commit()
            elif x == t[0] and st in 'TDF':
                if 'rejoin' in self.sp.off and st == 'T':
                    self.sett(t, conn=True); self.answer(t, 'H', last=False)
                elif 'owner-commits' in self.sp.off and st == 'T' and self.spos == 0:
                    self.sett(t, conn=True); self.answer(t, 'H', last=False)
                else: self.answer(t, 'Late')
            else: self.answer(t, 'U')
            return
        self.sett(t, up=None, conn=False)
        if not conn or not self.mine(t): return
        if st == 'B' and m == 'close': self.give_up()
        elif st == 'T' and not self.lanes():
            self.fail(0); self.say(0, 'Ended', x)

    def on_trunk_down(self, t):
        lanes, conn, up, down = self.trunk[t]
        m, off = down[0], self.sp.off
        self.sett(t, down=down[1:])
        ps = [p for p in lanes if self.party[p][0] in 'BT' and (self.party[p][3] == t[0] or 'no-xid' in off)]
        for p in ps:
            st = self.party[p][0]
            if m in 'de' and self.party[p][3] != t[0]: self.bad = 'S2 bytes of another transfer'
            if m == 'H': self.setp(p, 'T')
            elif m == 'd': self.setp(p, got=self.party[p][5] + 1)
            elif m == 'e': self.setp(p, 'D')
            elif m == 'X' and 'eof' in off and st == 'T': self.setp(p, 'D')
            elif m == 'a' or m == 'Late' or st == 'T': self.fail(p)
            elif m == 'X' and 'close-parks' in off: self.setp(p, 'P', x=None)
            elif m == 'X' and 'head-fails' in off: self.fail(p)
            elif m == 'U': self.setp(p, 'P', x=None) if 'undo-all' in off else self.attach(p)
        if m not in 'Hd': self.sett(t, down=None)
        again = tuple(p for p in ps if self.party[p][0] == 'B')
        if m == 'X' and again: self.dial(t[0], t[1], again)

    # ---- owners: places are (party, attempt, link generation, 'P' parked | 'M' matched)
    def on_up(self, e, o, g, m):
        if 'old-link' not in self.sp.off:       # a newer link of an edge ends its older ones, unread
            for old, up, _ in self.link[e, o][2]:
                if old < g and up:
                    self._queue(e, o, old, up=lambda u: ())
                    self.take(e, o, old, ('X',))
        self.take(e, o, g, m)
        self.match(o)

    def take(self, e, o, g, m):
        sp, off, kind = self.sp, self.sp.off, m[0]
        v, places, tr = self.owner[o]
        mine = sp.owner(v) == o
        if kind == 'X':
            gone = {q[0] for q in places if sp.edges[q[0]] == e and q[2] == g}
            places = frozenset(q for q in places if q[0] not in gone)
            if 'undo-all' in off and tr and tr[1] == 'b' and (gone | ({0} if e == sp.edges[0] else set())) & {p for p, _ in tr[2]}:
                places, tr = self.undo_all(o, places, tr)
            if tr and sp.edges[0] == e and tr[3] == g:
                if 'keep-seats' not in off: places = frozenset(q for q in places if q[3] == 'P')
                tr = None
        elif kind == 'Attach':
            p, att = m[1], m[2]
            old = [q for q in places if q[0] == p]
            if not mine: self.down(e, o, g, ('Moved', p, att, v))
            elif old and old[0][1] >= att and 'no-attempt' not in off: pass
            else:
                places = frozenset(q for q in places if q[0] != p)
                rivals = sorted(q for q in places if (q[0] > 0) == (p > 0))
                full, last = len(rivals) >= (sp.n if p else 1), rivals[-1] if rivals else None
                new = att == 1 or 'forget-seat' in off
                if new and (full or tr and tr[1] == 'r') or full and last[0] < p:
                    self.down(e, o, g, ('Refused', p, att))
                else:
                    if full and last[3] == 'P':         # an older one is back: the youngest goes
                        places -= {last}
                        self.down(sp.edges[last[0]], o, last[2], ('Refused', last[0], last[1]))
                    places |= {(p, att, g, 'P')}
        elif kind == 'Leave':
            hit = [q for q in places if q[0] == m[1] and (q[1] <= m[2] or 'no-attempt' in off)]
            places -= set(hit)
            if tr and tr[1] == 'b' and any(p == m[1] and a <= m[2] for p, a in tr[2]):
                if 'undo-all' in off: places, tr = self.undo_all(o, places, tr)
                elif m[1] == 0: tr = None
                else: self.down(sp.edges[0], o, tr[3], ('Undo', tr[0]))
        elif kind in ('Ready', 'Resume'):
            if mine:
                places = frozenset(q for q in places if not any(q[0] == p and q[1] <= a for p, a in m[2]))
                if kind == 'Resume' and m[4]:
                    if tr and tr[0] == m[1]: tr = None
                else: tr = (m[1], 'r', m[2], g)
            if kind == 'Resume' and m[4]: self.down(e, o, g, ('Freed', m[1]))
        elif kind == 'Released':
            if tr and tr[0] == m[1]: tr = None
            self.down(e, o, g, ('Freed', m[1]))
        elif kind == 'Unready':
            if tr and (tr[0] == m[1] or 'no-xid' in off):
                if 'undo-all' in off: places, tr = self.undo_all(o, places, tr)
                else: tr = None
        elif kind == 'Ended' and tr and tr[0] == m[1]: tr = None
        self.owner[o] = (v, places, tr)

    def undo_all(self, o, places, tr):
        new = set()
        for q in places:
            if q[3] == 'M':
                self.down(self.sp.edges[q[0]], o, q[2], ('Undo', tr[0])); q = q[:3] + ('P',)
            new.add(q)
        if not any(q[0] == 0 for q in new):
            self.down(self.sp.edges[0], o, tr[3], ('Undo', tr[0]))
        return frozenset(new), None

    def match(self, o):
        v, places, tr = self.owner[o]
        free = sorted(q for q in places if q[3] == 'P')
        who = [q for q in free if q[0] == 0] + [q for q in free if q[0]][:self.sp.n]
        if tr or self.sp.owner(v) != o or len(who) <= self.sp.n or who[0][0]: return
        x, roll = self.nx, tuple((q[0], q[1]) for q in who)
        self.nx += 1
        self.owner[o] = (v, places - set(who) | {q[:3] + ('M',) for q in who}, (x, 'b', roll, who[0][2]))
        for e, g in sorted({(self.sp.edges[q[0]], q[2]) for q in who}): self.down(e, o, g, ('Begin', x, roll))

    def owner_learns(self, o, v):
        _, places, tr = self.owner[o]
        if self.sp.owner(v) != o or any(self.sp.owner(u) != o for u in range(self.owner[o][0], v + 1)):
            if self.sp.owner(v) != o:
                for p, att, g, f in places:
                    if f == 'P' or 'undo-all' in self.sp.off: self.down(self.sp.edges[p], o, g, ('Lost', p, att))
                places, tr = frozenset(), None
        self.owner[o] = (v, places, tr)

    # ---- faults
    def break_link(self, e, o, late):
        gen, _, qs = self.link[e, o]
        self._queue(e, o, gen, up=lambda u: (u if late else ()) + ('X',), down=lambda w: (w if late else ()) + ('X',))
        self.link[e, o] = (gen, True, self.link[e, o][2])
    def break_trunk(self, t, late):
        lanes, conn, up, down = self.trunk[t]
        add = lambda q: None if q is None else (q if late else ()) + ('X',)
        self.sett(t, up=add(up), down=add(down))
    def crash_owner(self, o):
        self.owner[o] = (self.owner[o][0], frozenset(), None)
        for (e, oo), (gen, brk, qs) in list(self.link.items()):
            if oo != o: continue
            for g, _, _ in qs: self._queue(e, o, g, up=lambda u: ())
            if not brk and self.view[e] >= 0:
                self._queue(e, o, gen, down=lambda w: w + ('X',))
                self.link[e, o] = (gen, True, self.link[e, o][2])
    def crash_edge(self, e):
        for o in (0, 1):
            gen, brk, qs = self.link[e, o]
            for g, _, _ in qs: self._queue(e, o, g, down=lambda w: ())
            if not brk: self._queue(e, o, gen, up=lambda u: u + ('X',))
        self.view[e] = -1
        for p, pe in enumerate(self.sp.edges):
            if pe == e and self.party[p][0] in LIVE: self.setp(p, 'C')
        for t, (lanes, conn, up, down) in list(self.trunk.items()):
            if t[1] == e: self.sett(t, down=None, up=None if up is None else up + ('X',))
            elif self.sp.edges[0] == e: self.sett(t, up=None, conn=False, down=None if down is None else down + ('X',))
    def leave(self, p):
        st, att, o, x, *_ = self.party[p]
        e = self.sp.edges[p]
        if o is not None: self.up(e, o, ('Leave', p, att))
        if p == 0:
            self.shut_all('a' if st == 'T' else 'U')
            if st == 'T': self.say(0, 'Ended', x)
        elif st in 'BT':
            mates = [q for q, a in enumerate(self.party) if q and q != p and self.sp.edges[q] == e and a[3] == x]
            if not (st == 'T' and mates):       # a streaming trunk lives on for its other lanes
                self.close_trunk(p)
                for q in mates:
                    if self.party[q][0] == 'B': self.attach(q)
        self.setp(p, 'G')


# ---- steps: (is it a fault?, next state)
def steps(sp, f):
    out = []

    def step(tag, act, cost=None):
        w = World(sp, f)
        if cost is not None:
            if not w.bud[cost]: return
            w.bud[cost] -= 1
        act(w)
        out.append((tag, cost is not None, w.freeze(), w.bad))

    w0, last = World(sp, f), len(sp.views) - 1
    s, se, ahead = w0.party[0], sp.edges[0], lambda v: range(v + 1, (last if sp.skip else min(v + 1, last)) + 1)
    for e, v in enumerate(w0.view):
        for nv in ahead(v) if v >= 0 else ():
            step(f'edge {e} learns view {nv}', lambda w: w.edge_learns(e, nv))
    for o, (v, places, tr) in enumerate(w0.owner):
        for nv in ahead(v):
            step(f'owner {"AB"[o]} learns view {nv}', lambda w: w.owner_learns(o, nv))
        step(f'CRASH of owner {"AB"[o]}', lambda w: w.crash_owner(o), OWNER)
    held = ('Attach',) if 'ready-now' in sp.off else ('Attach', 'Ready', 'Resume')  # until the owner's view caught up
    for (e, o), (gen, brk, qs) in w0.link.items():
        for g, up, down in qs:
            if up and not (up[0][0] in held and up[0][3] > w0.owner[o][0]):
                def act(w):
                    w._queue(e, o, g, up=lambda u: u[1:]); w.on_up(e, o, g, up[0])
                step(f'{"AB"[o]} <- {e}: {up[0]}', act)
            if down and w0.view[e] >= 0:
                def act(w):
                    w._queue(e, o, g, down=lambda u: u[1:]); w.on_down(e, o, g, down[0])
                step(f'{"AB"[o]} -> {e}: {down[0]}', act)
        if not brk and w0.view[e] >= 0:
            for late in (False, True) if qs else (False,):
                step(f'BREAK of link {e}-{"AB"[o]} late={late}', lambda w: w.break_link(e, o, late), LINK)
    coming = {(e, m[1]) for (e, o), l in w0.link.items() for q in l[2] for m in q[2] if m[0] == 'Begin'}
    for t, (lanes, conn, up, down) in w0.trunk.items():
        if up and w0.view[se] >= 0:
            hold = up[0] == 'dial' and s[3] != t[0] and s[0] in LIVE and 'no-xid' not in sp.off
            early = EARLY if hold and (se, t[0]) in coming else None
            step(f'trunk {t} -> sender\'s edge: {up[0]}', lambda w: w.on_trunk_up(t), early)
        if down and w0.view[t[1]] >= 0:
            step(f'trunk {t} -> {t[1]}: {down[0]}', lambda w: w.on_trunk_down(t))
        if 'X' not in (up or ()) + (down or ()) and w0.view[se] >= 0:
            for late in (False, True) if up or down else (False,):
                step(f'BREAK of trunk {t} late={late}', lambda w: w.break_trunk(t, late), TRUNK)
    if s[0] == 'B':         # the 2 s at the sender's edge: free when a lane cannot come any more
        dead = any(p and not (w0.party[p][0] == 'B' and w0.party[p][3] == s[3])
                   and (sp.edges[p], s[3]) not in coming for p, _ in w0.roll(s[3]))
        step('sender\'s edge gives up', lambda w: w.give_up(), None if dead else EARLY)
    if s[0] == 'T' and w0.spos < 2 and w0.view[se] >= 0:
        def act(w):
            if w.spos == 1 and w.free is None and 'no-freed' not in sp.off: return w.release()
            m = 'de'[w.spos]; w.spos += 1
            if m == 'e': w.say(0, 'Ended', s[3]); w.setp(0, 'D')
            for t in w.lanes(): w.answer(t, m, last=m == 'e')
        if w0.lanes() or w0.spos == 0 and 'owner-commits' in sp.off: step('sender: ' + 'de'[w0.spos], act, EARLY if w0.free and w0.spos == 1 else None)
    for p, a in enumerate(w0.party):
        if a[0] == 'Z' and (w0.party[1][0] not in 'NP' or any(q[0] == 1 for x in w0.owner for q in x[1])): step(f'{p} arrives', lambda w: (w.setp(p, 'N'), w.attach(p)))
        if a[0] == 'N' and a[4] <= w0.view[sp.edges[p]]: step(f'{p} attaches', lambda w: w.attach(p))
        if p and a[0] == 'B' and any(p in t[0] and t[3] is not None for t in w0.trunk.values()):
            step(f'the edge of {p} gives up its trunk', lambda w: w.unpin_mates(p), TRUNK)
        if a[0] in LIVE: step(f'client {p} LEAVES', lambda w: w.leave(p), LEAVE)
    for e, v in enumerate(w0.view):
        if v >= 0: step(f'CRASH of edge {e}', lambda w: w.crash_edge(e), EDGE)
    return out


def broken(sp, f):
    """The first rule this state breaks, or None."""
    view, party, owner, link, trunk, com, nx, spos, bud, free = f
    started = [c for c in com if len(c) == 2]
    spent = [b < a for a, b in zip(sp.budget, bud)]
    if len(started) > 1: return 'S2/S8 one sender started twice'
    ids = {c[0] for c in started}
    for p, a in enumerate(party):
        st, got = a[0], a[5]
        if p and st == 'D' and not (spos == 2 and got == 1): return 'S1 clean end without all bytes'
        if got > 1: return 'S2 bytes twice'
        if p and st == 'T' and a[3] not in ids: return 'S3 a receiver sees a head before the start'
        if st == 'F' and not (spent[TRUNK] or spent[EDGE] or spent[LEAVE]):
            return 'S5 error after losing an owner or a link only' if spent[OWNER] or spent[LINK] else 'S4 error without any fault'
        if st == 'F' and a[3] not in ids: return 'S6 error although nothing had started'
        if p and st == 'D' and not any(spent) and any(x[2] and x[2][:2] == (a[3], 'r') for x in owner):
            return 'K3 a receiver sees the end and the name is not free'
        if st == 'J' and not (sp.spare and p == len(party) - 1): return 'S4 refused after having waited'
    if all(v == len(sp.views) - 1 or v < 0 for v in view + tuple(o[0] for o in owner)) and not any(l[1][2] for l in link):
        o = owner[sp.owner(-1)] if len(sp.views) else None
        if party[0][0] == 'T' and free is None and not (o[2] and o[2][:2] == (party[0][3], 'r')): return 'K1 the owner does not know the running transfer'
        if party[0][0] not in LIVE and any(x[2] for x in owner): return 'K2 an owner holds a transfer that is over'
        if any(party[q[0]][0] not in LIVE for x in owner for q in x[1]): return 'K2 an owner keeps a place for nobody'
    return None


def settled(sp, f):
    """Nobody is parked apart: no pair is left, and who is left is parked where newcomers will find it."""
    party, (v, places, tr) = f[1], f[2][sp.owner(-1)]
    if party[0][0] in LIVE and sum(a[0] in LIVE for a in party[1:]) >= sp.n: return False
    at = {(q[0], q[1]) for q in places if q[3] == 'P'}
    return all(a[0] == 'P' and (p, a[1]) in at and not tr for p, a in enumerate(party) if a[0] in LIVE)


def search(sp, limit):
    start = World(sp)
    for p, a in enumerate(start.party):
        if a[0] == 'N': start.attach(p)
    start = start.freeze()
    ids, order, parent, back, queue = {start: 0}, [start], [None], [[]], deque([0])
    bad = None
    while queue and not bad and len(order) < limit:
        i = queue.popleft()
        for tag, fault, f, flaw in steps(sp, order[i]):
            j = ids.get(f)
            if j is None:
                j = ids[f] = len(order)
                order.append(f); parent.append((i, tag)); back.append([]); queue.append(j)
                flaw = flaw or broken(sp, f)
                if flaw: bad = (flaw, j); break
            if not fault: back[j].append(i)
    if not bad and not queue:
        good = [i for i, f in enumerate(order) if settled(sp, f)]
        ok, todo = set(good), list(good)
        while todo:
            for j in back[todo.pop()]:
                if j not in ok: ok.add(j); todo.append(j)
        stuck = next((i for i in range(len(order)) if i not in ok), None)
        if stuck is not None: bad = ('S7 parked apart for ever (or hung)', stuck)
    trace, i = [], bad[1] if bad else None
    while i: i, tag = parent[i]; trace.append(tag)
    return len(order), not queue or bool(bad), bad, trace[::-1], order[bad[1]] if bad else None


PAIR, TRIO, SAME = (0, 1), (0, 1, 2), (0, 1, 1)
SCENARIOS = [
    Spec('n1-views-ab', 'AB', PAIR), Spec('n1-views-aba', 'ABA', PAIR, skip=False),
    Spec('n1-views-aba-skip', 'ABA', PAIR),
    Spec('n1-link-ab', 'AB', PAIR, link=1), Spec('n1-link2', 'A', PAIR, link=2),
    Spec('n1-trunk-ab', 'AB', PAIR, trunk=1), Spec('n1-trunk2', 'A', PAIR, trunk=2, early=1),
    Spec('n1-owner-ab', 'AB', PAIR, owner=1), Spec('n1-owner2', 'A', PAIR, owner=2),
    Spec('n1-owner-link', 'A', PAIR, owner=1, link=1),
    Spec('n1-edge-ab', 'AB', PAIR, edge=1), Spec('n1-edge-owner', 'A', PAIR, edge=1, owner=1),
    Spec('n1-leave-ab', 'AB', PAIR, leave=1), Spec('n1-early-ab', 'AB', PAIR, early=1),
    Spec('n1-everything', 'A', PAIR, link=1, trunk=1, owner=1, leave=1),
    Spec('n1-spare-link', 'A', TRIO, spare=True, link=1), Spec('n1-spare-owner', 'A', TRIO, spare=True, owner=1),
    Spec('n1-spare-leave', 'A', TRIO, spare=True, leave=1, early=1),
    Spec('n2-leave', 'A', TRIO, n=2, leave=1), Spec('n2-trunk', 'A', TRIO, n=2, trunk=1),
    Spec('n2-link', 'A', TRIO, n=2, link=1), Spec('n2-owner', 'A', TRIO, n=2, owner=1),
    Spec('n2-edge', 'A', TRIO, n=2, edge=1), Spec('n2-leave-trunk-link', 'A', TRIO, n=2, leave=1, trunk=1, link=1),
    Spec('n2-same-edge-leave', 'A', SAME, n=2, leave=1, early=1), Spec('n2-same-edge-trunk', 'A', SAME, n=2, trunk=1, link=1),
    Spec('n2-same-edge-views', 'AB', SAME, n=2), Spec('n2-views-ab', 'AB', TRIO, n=2),
]
DEMOS = [('undo-all', 'n1-link2'), ('undo-all', 'n2-link'), ('close-parks', 'n2-trunk'), ('head-fails', 'n2-trunk'),
         ('rejoin', 'n2-trunk'), ('no-resume', 'n1-owner-link'), ('old-link', 'n1-link2'), ('begin-any', 'n1-views-ab'),
         ('no-xid', 'n1-spare-leave'), ('owner-commits', 'n2-leave'), ('early', 'n2-leave'), ('eof', 'n2-trunk'),
         ('forget-seat', 'n1-spare-link'), ('pinned-leaves', 'n1-views-ab'), ('keep-seats', 'n1-link2'),
         ('no-try', 'n2-trunk'), ('ready-now', 'n1-views-ab'), ('no-attempt+old-link', 'n1-owner-link'),
         ('no-freed', 'n1-views-ab'), ('no-released', 'n1-views-ab')]
# Those that are searched to the end within seconds.
SMALL = ['n1-views-ab', 'n1-link2', 'n1-trunk2', 'n1-owner2', 'n1-owner-link', 'n1-edge-owner', 'n1-spare-link',
         'n1-spare-owner', 'n1-spare-leave', 'n2-leave', 'n2-trunk', 'n2-link', 'n2-owner', 'n2-edge',
         'n2-same-edge-leave', 'n2-same-edge-trunk']


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument('scenario', nargs='?', default='all', help='a name, all, small, or demos')
    ap.add_argument('--off', default='', help='flags, joined by +')
    ap.add_argument('--limit', type=int, default=1500000)
    ap.add_argument('-t', '--trace', action='store_true')
    a = ap.parse_args()
    named = {sp.name: sp for sp in SCENARIOS}
    names = {'all': list(named), 'small': SMALL}.get(a.scenario, [a.scenario])
    todo, wrong = DEMOS if a.scenario == 'demos' else [(a.off, n) for n in names], False
    for off, name in todo:
        sp, t = named[name], time.time()
        sp.off = frozenset(off.split('+')) if off else frozenset()
        n, done, bad, trace, f = search(sp, a.limit)
        print(f'{name:20} {off:20} {n:9,} states {time.time() - t:6.1f}s {bad[0] if bad else "ok" if done else "ok so far (limit)"}', flush=True)
        wrong |= bool(bad) != bool(off)     # without a rule something has to be found, with all of them nothing
        if bad and a.trace: print('   ' + '\n   '.join(trace + [repr(f)]))
    return wrong


if __name__ == '__main__':
    sys.exit(main())
