# Runs in dom0, fed to perl over ssh: prints what the lab wants to see, without starting any process.
# One line an observation: KIND, seconds since 1970, payload. Kinds: drbd, boot, agent, state, note, status.
use strict;
use warnings;
use IO::Socket::UNIX;
use Time::HiRes qw(time sleep);

$| = 1;
my ($period_s, $status_every) = @ARGV;
my %seen;

sub say_it {
	my ($kind, $payload) = @_;
	printf "%s %.3f %s\n", $kind, time, $payload;
}

sub say_changed {
	my ($kind, $payload) = @_;
	return if defined $seen{$kind} && $seen{$kind} eq $payload;
	$seen{$kind} = $payload;
	say_it($kind, $payload);
}

sub slurp {
	my ($path) = @_;
	open my $file, '<', $path or return '';
	local $/;
	my $text = <$file>;
	return defined $text ? $text : '';
}

sub one_line {
	my ($text) = @_;
	$text =~ s/\s+/ /g;
	return $text;
}

# New lines of the agent's journal; a file that became shorter or another one was rotated.
my ($journal, $inode, $rest) = (undef, 0, '');
sub say_notes {
	my $path = '/var/lib/vmpair/events.jsonl';
	my $now = (stat $path)[1] || 0;
	if ($now != $inode || !$journal) {
		return unless $now && open $journal, '<', $path;
		($inode, $rest) = ($now, '');
	}
	seek $journal, 0, 1;
	while (defined(my $line = <$journal>)) {
		$rest .= $line;
		next unless $rest =~ /\n\z/;
		chomp $rest;
		say_it('note', $rest) if $rest =~ /"type":"note"/;
		$rest = '';
	}
}

sub say_status {
	local $SIG{ALRM} = sub { die "late\n" };
	eval {
		alarm 5;
		my $agent = IO::Socket::UNIX->new(Peer => '/run/vmpair/agent.sock') or die "down\n";
		print {$agent} "GET /status HTTP/1.0\r\n\r\n";
		local $/;
		my $answer = <$agent>;
		my ($body) = $answer =~ /\r\n\r\n(.*)\z/s;
		say_it('status', one_line($body)) if defined $body;
	};
	alarm 0;
}

for (my $round = 0; ; $round++) {
	my $drbd = slurp('/proc/drbd');
	say_changed('drbd', join '|', $drbd =~ /^ *(\d+: cs:\S+ ro:\S+ ds:\S+ . \S+)/mg);
	say_changed('boot', one_line(slurp('/proc/sys/kernel/random/boot_id')));
	my $pids = slurp('/sys/fs/cgroup/system.slice/vmpair.service/cgroup.procs');
	say_changed('agent', $pids =~ /\d/ ? 'running' : 'down');
	say_changed('state', one_line(slurp('/var/lib/vmpair/state.json')));
	say_notes();
	say_status() if $status_every && $round % $status_every == 0;
	sleep $period_s;
}
