# usage: zoo.pl BEHAVIOUR
#
# Hangs and healthy look-alikes of Perl programs.

use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2;
use IPC::Open3;
use Symbol 'gensym';

$| = 1;

my %behaviours = (
  # Asks a filter for an answer, but the filter waits for the end of its input.
  'open2-sort' => sub {
    my $pid = open2(my $from, my $to, 'sort');
    print $to "hello\n";
    $to->flush;
    print "ready\n";
    my $line = <$from>;
  },
  'open3-stderr' => sub {
    my $err = gensym;
    my $pid = open3(my $in, my $out, $err, $^X, '-e', 'print STDERR "x" x 999999');
    print "ready\n";
    my @lines = <$out>;
  },
  'open-waitpid' => sub {
    my $pid = open(my $from, '-|', 'head', '-c', '999999', '/dev/zero');
    print "ready\n";
    waitpid $pid, 0;
  },

  # -- healthy
  'select-server' => sub {
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
    print "ready\n";
    IO::Select->new($listener)->can_read;
  },
  'prefork' => sub {
    my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die;
    for (1 .. 2) {
      next if fork;
      $listener->accept;
      exit;
    }
    print "ready\n";
    wait;
  },
);

($behaviours{$ARGV[0] // ''} or die "usage: zoo.pl BEHAVIOUR\n")->();
