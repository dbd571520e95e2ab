# Perl: Mail::Address (libmailtools-perl) and Email::Address::XS.
use strict;
use warnings;
use Encode;
use Email::Address::XS qw(parse_email_addresses);
use Mail::Address;

no warnings;
binmode STDIN;
while (read(STDIN, my $prefix, 4) == 4) {
    read(STDIN, my $body, unpack('N', $prefix));
    my $unfolded = $body =~ s/\r\n(?=[ \t])//gr;
    my @texts = ($body, $unfolded);
    for my $text ($body, $unfolded) {
        my $decoded = eval { decode('MIME-Header', $text) };
        push @texts, $decoded if defined $decoded;
    }
    my %found;
    for my $text (@texts) {
        for my $address (eval { Mail::Address->parse($text) }) { $found{$address->address // ''} = 1 }
        for my $address (eval { parse_email_addresses($text) }) { $found{$address->address // ''} = 1 }
        my $one = eval { Email::Address::XS->parse($text) };
        $found{$one->address // ''} = 1 if defined $one;
    }
    delete $found{''};
    print join(' ', sort map { unpack('H*', utf8::is_utf8($_) ? encode('UTF-8', $_) : $_) } keys %found), "\n";
}
