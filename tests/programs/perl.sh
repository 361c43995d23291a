#!/bin/bash
# perl: hashes, regular expressions, sorting, closures, processes.
. "$(dirname "$0")/common.sh"

need perl
mkdir "$scratch/given"
cat >"$scratch/given/script.pl" <<'END'
use strict; use warnings;
my (%h, @list); my $x = 12345;
for my $i (1 .. 60000) {
	$x = ($x * 1103515245 + 12345) % 2147483648;
	push @{$h{"k" . $x % 5000}}, $x;
	push @list, "item$x" if $i % 3 == 0;
}
print scalar(keys %h), " ", scalar(@list), "\n";
my $sum = 0;
$sum = ($sum * 31 + @{$h{$_}}) % 1000003 for sort keys %h;
print "$sum\n";
my $text = join ",", sort @list;
my $n = () = $text =~ /(\d)\1/g;
print length($text), " $n\n";
$text =~ s/item(\d+)/<$1>/g;
print length($text), "\n";
my @code = map { my $k = $_; sub { $k * $_[0] } } 1 .. 2000;
my $t = 0; $t += $_->(3) for @code; print "$t\n";
$| = 1;
for my $k (1 .. 5) {
	my $pid = fork // die;
	if (!$pid) { my @a = map { "x" x $_ } 1 .. 1000; exit(@a % 7 + $k); }
	waitpid $pid, 0; print $? >> 8, "\n";
}
my $long = ""; $long .= "abc" x $_ for 1 .. 1000; print length($long), "\n";
undef %h; undef @list;
open my $maps, "<", "/proc/self/maps" or die;
print STDERR "mapped\n" if grep { /libacre-malloc/ } <$maps>;
END
compare 5 perl script.pl
must_say '^1501500$'
grep -q -x mapped "$scratch/acre.err" || fail "perl did not see the drop-in in its own maps"
