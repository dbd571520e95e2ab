# Ruby: the gem mail, which Rails uses.
require 'digest'
require 'json'
require 'mail'

def addresses(message, name)
  field = message[name]
  return [] if field.nil?

  field.addrs.map { |address| [address.display_name.to_s, address.address.to_s] }
end

def visit(part, around)
  types = around + [part.mime_type]
  return part.parts.flat_map { |inner| visit(inner, types) } if part.multipart?

  disposition = part[:content_disposition]
  [{
    types: types.join(' '), disposition: disposition.nil? ? '' : disposition.disposition_type,
    filename: part.filename.to_s, id: part[:content_id].to_s, sha256: Digest::SHA256.hexdigest(part.body.decoded)
  }]
end

STDIN.binmode
while (prefix = STDIN.read(4))
  message = Mail.new(STDIN.read(prefix.unpack1('N')))
  puts JSON.generate(
    subject: message.subject.to_s, note: message['X-Note'].to_s, from: addresses(message, 'From'),
    to: addresses(message, 'To'), cc: addresses(message, 'Cc'), reply_to: addresses(message, 'Reply-To'),
    parts: visit(message, [])
  )
end
