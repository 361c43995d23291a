# The perl workload: hashes of hashes and arrays, regular expressions, string building, sorting.
#
#	PERL_HASH_SEED=0 perl records.pl ROUNDS
#
# It writes a log as a server would, takes it apart again and reports on it; what it prints depends
# on ROUNDS alone.
use strict;
use warnings;
use integer;

my $state = 4711;

sub below {
	my ($limit) = @_;
	$state = ($state * 1103515245 + 12345) & 0x7fffffff;
	return ($state >> 8) % $limit;
}

sub checksum {
	my ($text) = @_;
	return unpack("%32C*", $text);
}

sub log_lines {
	my ($count) = @_;
	my @lines;
	for my $number (1 .. $count) {
		my $path = join "/", map { "p" . below(40) } 1 .. 1 + below(5);
		push @lines, sprintf
			'10.%d.%d.%d - user%d [%02d:%02d] "%s /%s?id=%d&name=%s" %d %d',
			below(4), below(256), below(256), below(900), below(24), below(60),
			(qw(GET POST PUT))[below(3)], $path, $number, "n" x below(40),
			(200, 200, 301, 404, 500)[below(5)], below(100000);
	}
	return \@lines;
}

sub take_apart {
	my ($lines) = @_;
	my %users;
	for my $line (@$lines) {
		$line =~ m{^(\S+) - (\S+) \[(\d+):\d+\] "(\w+) (/[^?]*)\?([^"]*)" (\d+) (\d+)$}
			or die "not a line of the log: $line";
		my ($host, $user, $hour, $verb, $path, $query, $status, $bytes) =
			($1, $2, $3, $4, $5, $6, $7, $8);
		my %query = map { split /=/, $_, 2 } split /&/, $query;
		push @{$users{$user}{paths}{$path}},
			{ id => $query{id}, name => $query{name} // "", host => $host,
				bytes => $bytes };
		$users{$user}{hours}{$hour}++;
		$users{$user}{status}{"$verb $status"} .= "$query{id},";
	}
	return \%users;
}

sub report {
	my ($users) = @_;
	my $text = "";
	for my $user (sort keys %$users) {
		my $one = $users->{$user};
		my @paths = sort { @{$one->{paths}{$b}} <=> @{$one->{paths}{$a}} || $a cmp $b }
			keys %{$one->{paths}};
		for my $path (@paths[0 .. ($#paths < 9 ? $#paths : 9)]) {
			my $bytes = 0;
			$bytes += $_->{bytes} for @{$one->{paths}{$path}};
			(my $shown = $path) =~ s{/p(\d+)}{"/" . sprintf "%03d", $1}ge;
			$text .= "$user $shown $bytes\n";
		}
		$text .= join(" ", map { "$_=$one->{hours}{$_}" }
			sort keys %{$one->{hours}}) . "\n";
		$text .= join(" ", map { "$_: " . length $one->{status}{$_} }
			sort keys %{$one->{status}}) . "\n";
	}
	return $text;
}

for my $round (1 .. $ARGV[0]) {
	my $text = report(take_apart(log_lines(20000)));
	print "$round ", length $text, " ", checksum($text), "\n";
}
