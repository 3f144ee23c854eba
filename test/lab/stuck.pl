# Runs in dom0: makes one DRBD connection hang from its next loss on, until somebody disconnects it.
# Arguments: minor, TCP port, "connecting" or "bitmap". Packets are dropped; the kernel's own states are real.
use strict;
use warnings;
use Time::HiRes qw(sleep);

my ($minor, $port, $in) = @ARGV;

sub state_now {
	open my $file, '<', '/proc/drbd' or return '';
	local $/;
	return <$file> =~ /^ *$minor: cs:(\S+)/m ? $1 : '';
}

# A bitmap travels as command 4 or, compressed, 0x24, behind the magic number of DRBD 8.4 and the volume.
my @what = $in eq 'connecting'
	? ('')
	: map { "-m string --algo bm --hex-string |8620ec200000$_|" } ('0004', '0024');

sub rules {
	my ($do) = @_;
	for my $chain ('INPUT', 'OUTPUT') {
		for my $side ('--sport', '--dport') {
			for my $match (@what) {
				system('iptables', '-w', $do, $chain, '-p', 'tcp', $side, $port, split(' ', $match), '-j', 'DROP') == 0
					or die "iptables $do failed\n";
			}
		}
	}
}

rules('-A') if $in eq 'bitmap';
sleep 0.02 while state_now() =~ /^(?:Connected|Sync|Verify|Ahead|Behind)/;
rules('-A') if $in eq 'connecting';
sleep 0.02 while state_now() !~ /^(?:StandAlone|Unconfigured|Disconnecting|)$/;
rules('-D');
