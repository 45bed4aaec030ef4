# Answers every connection on port 8080 with one line: the name of the pod and what was sent.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
$SIG{TERM} = sub { exit 0 };
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "listen: $!";
print "listening\n";
while (my $client = $server->accept) {
    my $line = <$client>;
    next unless defined $line;
    print "received $line";
    print $client "$ENV{HOSTNAME} heard $line";
    close $client;
}
