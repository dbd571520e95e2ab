import InternetMessage
import Resolver

/// A DNS record that a domain should have.
package struct DomainRecord: Hashable, Sendable {
    package enum Purpose: String, CaseIterable, Hashable, Sendable {
        case dkim, spf, dmarc
        case mailFrom = "mail_from"
    }

    package var purpose: Purpose
    package var type: DNSRecordType
    /// The owner, without the last dot.
    package var name: String
    /// Of a TXT record without quotes.
    package var value: String
    /// Whether the domain can't be sent from without it, or not as it is set up in SES. The others are advice.
    package var isRequired: Bool

    package init(_ purpose: Purpose, _ type: DNSRecordType, _ name: String, _ value: String, isRequired: Bool) {
        self.purpose = purpose
        self.type = type
        self.name = name
        self.value = value
        self.isRequired = isRequired
    }

    /// What SES's servers are allowed by (Amazon SES Developer Guide, "Authenticating Email with SPF").
    static let spf = "v=spf1 include:amazonses.com ~all"
    static let dmarc = "v=DMARC1; p=none;"

    /// All records of a domain, in the order in which people set them.
    package static func records(of domain: SendingDomain) -> [DomainRecord] {
        let name = domain.name.text
        var records: [DomainRecord] = []
        if let dkim = domain.dkim {
            records += dkim.tokens.map {
                DomainRecord(.dkim, .cname, "\($0)._domainkey.\(name)", "\($0).\(dkim.zone)", isRequired: true)
            }
        }
        if let mailFrom = domain.mailFrom {
            // The envelope sender is in this domain, so receivers look for SPF there.
            records += [
                DomainRecord(.mailFrom, .mx, mailFrom.domain, "10 \(mailFrom.host)", isRequired: true),
                DomainRecord(.spf, .txt, mailFrom.domain, spf, isRequired: true),
            ]
        } else {
            records.append(DomainRecord(.spf, .txt, name, spf, isRequired: false))
        }
        records.append(DomainRecord(.dmarc, .txt, "_dmarc.\(name)", dmarc, isRequired: false))
        return records
    }

    /// A line of a zone file (RFC 1035 section 5.1).
    package var zoneLine: String {
        switch type {
        case .cname, .mx: "\(name). IN \(type.name) \(value)."
        case .txt: "\(name). IN TXT \(DomainRecord.quoted(value))"
        }
    }

    /// In strings of at most 255 octets (RFC 1035 section 3.3.14).
    private static func quoted(_ text: String) -> String {
        var octets = Array(text.utf8)[...]
        var strings: [String] = []
        repeat {
            let part = octets.prefix(255)
            octets = octets.dropFirst(255)
            let escaped = part.map { octet -> String in
                switch octet {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): "\\" + String(UnicodeScalar(octet))
                case 0x20...0x7E: String(UnicodeScalar(octet))
                default: "\\" + String(repeating: "0", count: 3 - String(octet).count) + String(octet)
                }
            }
            strings.append("\"" + escaped.joined() + "\"")
        } while !octets.isEmpty
        return strings.joined(separator: " ")
    }
}

/// What DNS has where a record should be.
package enum RecordFinding: Hashable, Sendable {
    case missing
    /// What is there in its place. The sentence says what is wrong where that does not show.
    case wrong([String], reason: String?)
    case found([String])
    /// The look-up failed; the sentence says why.
    case unknown(String)

    package enum Word: String, CaseIterable, Hashable, Sendable {
        case missing, wrong, found, unknown
    }

    package var word: Word {
        switch self {
        case .missing: .missing
        case .wrong: .wrong
        case .found: .found
        case .unknown: .unknown
        }
    }

    /// What is there.
    package var values: [String] {
        switch self {
        case .wrong(let values, _), .found(let values): values
        case .missing, .unknown: []
        }
    }

    package var reason: String? {
        switch self {
        case .wrong(_, let reason): reason
        case .unknown(let reason): reason
        case .missing, .found: nil
        }
    }
}

/// A record, and what DNS has in its place.
package struct CheckedRecord: Hashable, Sendable {
    /// As it should be: where there is an SPF record already, with what that one says.
    package var record: DomainRecord
    package var finding: RecordFinding

    package init(_ record: DomainRecord, _ finding: RecordFinding) {
        self.record = record
        self.finding = finding
    }
}
