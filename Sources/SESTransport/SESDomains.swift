import AWSClient
import Domains
import Foundation
import InternetMessage
import NIOHTTP1
import RelayCore

/// The identities of the SES account that are domains. The formats and the names of errors are those of botocore's
/// model of SES v2: ListEmailIdentities, GetEmailIdentity and CreateEmailIdentity.
public struct SESDomains: DomainAuthority {
    let transport: SESTransport

    /// - Parameter transport: makes the calls to SES, in its own region.
    public init(_ transport: SESTransport) { self.transport = transport }

    static let identitiesPath = "/v2/email/identities"
    static let listPath = "/v2/email/list-identities"
    /// The largest number of identities in one answer to ListEmailIdentities.
    static let pageSize = 1000
    /// SES allows an account 10,000 identities in a region, which is this number of pages.
    static let mostPages = 10

    package func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain] {
        var found: [SendingDomain] = []
        var token: String?
        // SES returns identities in its own order. So all of them are read, and then sorted by name.
        for _ in 0..<SESDomains.mostPages {
            let body = try await call(
                .POST, SESDomains.listPath, IdentityList.Request(NextToken: token, PageSize: SESDomains.pageSize),
                permission: "ses:ListEmailIdentities")
            guard let page = try? JSONDecoder().decode(IdentityList.self, from: Data(body)) else { throw .unreadable }
            found += page.EmailIdentities.compactMap { SendingDomain($0) }
            token = page.NextToken
            guard token != nil else { break }
        }
        let wanted = found.filter { domain in
            isWanted(domain.name.text) && (name.map { domain.name.text.isBehind($0) } ?? true)
        }
        return Array(wanted.sorted { $1.name.text.isBehind($0.name.text) }.prefix(limit))
    }

    package func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain {
        let body = try await call(
            .GET, SESDomains.identitiesPath + "/" + PathSegment.encoded(name.text), Empty?.none,
            permission: "ses:GetEmailIdentity")
        return try read(body, name)
    }

    package func add(
        _ name: DomainName, by key: KeyID?
    ) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool) {
        let permission = "ses:CreateEmailIdentity"
        let (answer, body) = try await ask(.POST, SESDomains.identitiesPath, Creation(EmailIdentity: name.text))
        if answer.errorName == "AlreadyExistsException" { return (try await domain(name), false) }
        guard answer.status == 200 else { throw SESDomains.failure(answer, permission) }
        return (try read(body, name), true)
    }

    /// Returns the domain as it is now. SES looks for the records by itself, and there is no call that makes it look at
    /// once.
    package func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain { try await domain(name) }

    package func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding? { nil }

    private func read(_ body: [UInt8], _ name: DomainName) throws(DomainFailure) -> SendingDomain {
        guard let identity = try? JSONDecoder().decode(Identity.self, from: Data(body)) else { throw .unreadable }
        return SendingDomain(name, identity, region: transport.configuration.region)
    }

    // MARK: Calls

    private func call(
        _ method: HTTPMethod, _ path: String, _ document: (some Encodable)?, permission: String
    ) async throws(DomainFailure) -> [UInt8] {
        let (answer, body) = try await ask(method, path, document)
        guard answer.status == 200 else { throw SESDomains.failure(answer, permission) }
        return body
    }

    private func ask(
        _ method: HTTPMethod, _ path: String, _ document: (some Encodable)?
    ) async throws(DomainFailure) -> (SESAnswer, body: [UInt8]) {
        let payload = document.flatMap { try? JSONEncoder().encode($0) }.map { Array($0) }
        switch await transport.call(method, path, payload: payload, within: SendingDomains.timeout) {
        case .unsigned(let error): throw .unavailable(ForeignText.bounded(error.explanation, 300))
        case .unanswered(let failure, _): throw .unavailable("it \(failure.predicate)")
        case .answered(let answer, let arrival): return (answer, arrival.body)
        }
    }

    static func failure(_ answer: SESAnswer, _ permission: String) -> DomainFailure {
        switch answer.errorName {
        case "LimitExceededException", "LimitExceeded":
            return .tooMany("the SES account has as many identities as it can have")
        case "NotFoundException": return .notFound
        case "ConcurrentModificationException":
            return .unavailable("another request is changing this domain at the moment")
        case "BadRequestException": return .refused(answer.message.isEmpty ? "no reason given" : answer.message)
        default: break
        }
        switch answer.inquiryFailure {
        case .denied: return .denied(permission: permission)
        case .throttled: return .unavailable("it accepts no more requests at the moment")
        case .credentialsRefused, .noCredentials: return .unavailable("AWS does not accept the relay's credentials")
        case .clockRefused: return .unavailable("AWS refuses the time of the relay's clock")
        case .notFound, .unreachable, .unexpected:
            return .unavailable("its answer has the HTTP status \(answer.status)")
        }
    }
}

extension DomainFailure {
    fileprivate static let unreadable = DomainFailure.unavailable("the answer is not from SES; check ses.endpoint")
}

extension String {
    /// Whether the text comes after `other`, compared octet by octet, which is the order of names in stores.
    fileprivate func isBehind(_ other: String) -> Bool { other.utf8.lexicographicallyPrecedes(utf8) }
}

// MARK: Documents

private struct Empty: Encodable {}

private struct Creation: Encodable {
    var EmailIdentity: String
}

private struct IdentityList: Decodable {
    struct Request: Encodable {
        var NextToken: String?
        var PageSize: Int
    }

    struct Entry: Decodable {
        var IdentityType: String?
        var IdentityName: String?
        var SendingEnabled: Bool?
        var VerificationStatus: String?
    }

    var EmailIdentities: [Entry]
    var NextToken: String?
}

private struct Identity: Decodable {
    struct DKIM: Decodable {
        var Tokens: [String]?
        var SigningHostedZone: String?
        var SigningAttributesOrigin: String?
        var Status: String?
    }

    struct MailFrom: Decodable {
        var MailFromDomain: String?
    }

    var VerifiedForSendingStatus: Bool
    var VerificationStatus: String?
    var DkimAttributes: DKIM?
    var MailFromAttributes: MailFrom?
}

extension DomainStatus {
    /// - Parameter word: a value of the type VerificationStatus or DkimStatus.
    fileprivate init(_ word: String?, isVerified: Bool) {
        switch word {
        case "SUCCESS": self = .verified
        case "PENDING": self = .pending
        case "FAILED": self = .failed
        case "TEMPORARY_FAILURE": self = .temporaryFailure
        case "NOT_STARTED": self = .notStarted
        default: self = isVerified ? .verified : .pending
        }
    }
}

extension SendingDomain {
    fileprivate init?(_ entry: IdentityList.Entry) {
        guard entry.IdentityType == "DOMAIN", let name = entry.IdentityName.flatMap({ DomainName(text: $0) }) else {
            return nil
        }
        let isEnabled = entry.SendingEnabled ?? false
        self.init(
            name: name, status: DomainStatus(entry.VerificationStatus, isVerified: isEnabled),
            isSendingEnabled: isEnabled)
    }

    fileprivate init(_ name: DomainName, _ identity: Identity, region: String) {
        var dkim: DKIM?
        let attributes = identity.DkimAttributes
        // If the owner provides the key, SES knows the selector but not the content of the record.
        if let attributes, attributes.SigningAttributesOrigin != "EXTERNAL" {
            let tokens = (attributes.Tokens ?? []).prefix(SendingDomain.mostTokens)
                .filter { DomainName(ascii: $0.utf8) != nil }
            let zone = attributes.SigningHostedZone.flatMap { DomainName(text: SendingDomain.withoutLastDot($0)) }
            if !tokens.isEmpty { dkim = DKIM(tokens: Array(tokens), zone: zone?.text ?? SendingDomain.classicZone) }
        }
        let mailFrom = identity.MailFromAttributes?.MailFromDomain.flatMap { DomainName(text: $0) }
        self.init(
            name: name,
            status: DomainStatus(
                identity.VerificationStatus ?? attributes?.Status, isVerified: identity.VerifiedForSendingStatus),
            isSendingEnabled: identity.VerifiedForSendingStatus, dkim: dkim,
            mailFrom: mailFrom.map {
                // The host is that of the Amazon SES Developer Guide, "Using a custom MAIL FROM domain".
                MailFrom(domain: $0.text, host: "feedback-smtp.\(region).amazonses.com")
            })
    }

    /// The largest number of tokens that are read. SES returns three.
    private static let mostTokens = 10

    /// The zone when SES names none. It is the zone of SES's older regions in the Amazon SES Developer Guide, "Easy
    /// DKIM in Amazon SES".
    private static let classicZone = "dkim.amazonses.com"

    private static func withoutLastDot(_ text: String) -> String {
        text.hasSuffix(".") ? String(text.dropLast()) : text
    }
}
