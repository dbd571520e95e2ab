# Ruby: the mail library, as Rails uses it.
require 'mail'

def all(text)
  ways = [
    -> { [Mail::Address.new(text)] },
    -> { Mail::AddressList.new(text).addresses },
    -> { Mail::Field.parse("From: #{text}").addrs }
  ]
  ways.flat_map do |way|
    way.call.flat_map { |address| [address.address, "#{address.local}@#{address.domain}"] }
  rescue StandardError
    []
  end
end

STDIN.binmode
while (prefix = STDIN.read(4))
  body = STDIN.read(prefix.unpack1('N'))
  utf8 = body.dup.force_encoding('UTF-8')
  texts = [body, utf8, body.gsub(/\r\n(?=[ \t])/n, '').force_encoding('UTF-8')]
  texts += texts.filter_map do |text|
    Mail::Encodings.value_decode(text)
  rescue StandardError
    nil
  end
  found = texts.flat_map { |text| all(text) }
  begin
    found += Array(Mail.new('From: '.b + body + "\r\n\r\n".b).from)
  rescue StandardError
    # The library finds nothing in this case.
  end
  found = found.compact.map { |address| address.to_s.b }.reject { |address| address.empty? || address == '@' }
  puts found.uniq.sort.map { |address| address.unpack1('H*') }.join(' ')
end
