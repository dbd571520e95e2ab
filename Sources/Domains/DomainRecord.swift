import InternetMessage
import Resolver

/// A DNS record that a domain should have.
package struct DomainRecord: Hashable, Sendable {
    /// What the record is for. The raw values are the words of the HTTP API.
    package enum Purpose: String, CaseIterable, Hashable, Sendable {
        case dkim, spf, dmarc
        case mailFrom = "mail_from"
    }

    package var purpose: Purpose
    package var type: DNSRecordType
    /// The owner name, without the final dot.
    package var name: String
    /// The content of the record. The text of a TXT record has no quotes.
    package var value: String
    /// Whether sending from the domain needs the record, in the way that the domain is set up in SES. Records that are
    /// not required are advice.
    package var isRequired: Bool

    package init(_ purpose: Purpose, _ type: DNSRecordType, _ name: String, _ value: String, isRequired: Bool) {
        self.purpose = purpose
        self.type = type
        self.name = name
        self.value = value
        self.isRequired = isRequired
    }

    /// The policy that allows SES's servers to send (Amazon SES Developer Guide, "Authenticating Email with SPF").
    static let spf = "v=spf1 include:amazonses.com ~all"
    /// The smallest policy (RFC 7489 section 6.3): it asks receivers to do nothing about mail that fails.
    static let dmarc = "v=DMARC1; p=none;"

    /// All records that a domain should have, in the order in which people set them.
    package static func records(of domain: SendingDomain) -> [DomainRecord] {
        let name = domain.name.text
        var records: [DomainRecord] = []
        if let dkim = domain.dkim {
            records += dkim.tokens.map {
                DomainRecord(.dkim, .cname, "\($0)._domainkey.\(name)", "\($0).\(dkim.zone)", isRequired: true)
            }
        }
        if let mailFrom = domain.mailFrom {
            // The envelope sender is in the MAIL FROM domain, so receivers look for SPF there.
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

    /// The record as a line of a zone file (RFC 1035 section 5.1).
    package var zoneLine: String {
        switch type {
        case .cname, .mx: "\(name). IN \(type.name) \(value)."
        case .txt: "\(name). IN TXT \(DomainRecord.quoted(value))"
        }
    }

    /// The text as quoted strings of at most 255 octets each (RFC 1035 sections 3.3.14 and 5.1).
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
    /// DNS has no such record.
    case missing
    /// DNS has these values instead. `reason` says what is wrong, if the values do not show it.
    case wrong([String], reason: String?)
    /// DNS has the record, with these values.
    case found([String])
    /// The look-up failed, for this reason.
    case unknown(String)

    /// The finding as a word of the HTTP API.
    package enum Word: String, CaseIterable, Hashable, Sendable {
        case missing, wrong, found, unknown
    }

    /// The word for this finding.
    package var word: Word {
        switch self {
        case .missing: .missing
        case .wrong: .wrong
        case .found: .found
        case .unknown: .unknown
        }
    }

    /// The values that DNS has: at most 8, each cut off after 1000 characters.
    package var values: [String] {
        switch self {
        case .wrong(let values, _), .found(let values): values
        case .missing, .unknown: []
        }
    }

    /// Why the record is wrong or unknown. Nil if the values show it, and for the other findings.
    package var reason: String? {
        switch self {
        case .wrong(_, let reason): reason
        case .unknown(let reason): reason
        case .missing, .found: nil
        }
    }
}

/// A record that a domain should have, and what DNS has.
package struct CheckedRecord: Hashable, Sendable {
    /// The record as it should be. If DNS has an SPF record already, this one keeps the terms of that record.
    package var record: DomainRecord
    package var finding: RecordFinding

    package init(_ record: DomainRecord, _ finding: RecordFinding) {
        self.record = record
        self.finding = finding
    }
}
