import AWSClient
import Hashing
import NIOHTTP1
import RelayCore

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What the account may do in its region, according to GetAccount. A value is nil when SES does not report it.
public struct SESAccountState: Hashable, Sendable {
    /// Whether mail may go to any address. False in the sandbox.
    public var hasProductionAccess: Bool?
    /// Whether sending is enabled for the account.
    public var isSendingEnabled: Bool?
    /// SES's enforcement status: `HEALTHY`, `PROBATION` or `SHUTDOWN`.
    public var enforcement: String?
    /// The account's sending quota.
    public var quota: SendQuota?

    public init(hasProductionAccess: Bool?, isSendingEnabled: Bool?, enforcement: String?, quota: SendQuota?) {
        self.hasProductionAccess = hasProductionAccess
        self.isSendingEnabled = isSendingEnabled
        self.enforcement = enforcement
        self.quota = quota
    }
}

/// What SES knows of a sending domain or address, according to GetEmailIdentity.
public struct SESIdentityState: Hashable, Sendable {
    /// A custom MAIL FROM domain. With it, the envelope sender has a domain of the sender's own, so that SPF aligns.
    public struct MailFrom: Hashable, Sendable {
        /// The domain's name.
        public var domain: String
        /// SES's status of it: `PENDING`, `SUCCESS`, `FAILED` or `TEMPORARY_FAILURE`.
        public var status: String
        /// Whether SES refuses messages while the domain's MX record is not found. If false, SES sends them with its
        /// own domain.
        public var isRequired: Bool

        public init(domain: String, status: String, isRequired: Bool) {
            self.domain = domain
            self.status = status
            self.isRequired = isRequired
        }
    }

    /// Whether SES sends for this identity.
    public var isVerifiedForSending: Bool
    /// SES's verification status: `PENDING`, `SUCCESS`, `FAILED`, `TEMPORARY_FAILURE` or `NOT_STARTED`.
    public var verification: String?
    /// The custom MAIL FROM domain, or nil.
    public var mailFrom: MailFrom?

    public init(isVerifiedForSending: Bool, verification: String?, mailFrom: MailFrom? = nil) {
        self.isVerifiedForSending = isVerifiedForSending
        self.verification = verification
        self.mailFrom = mailFrom
    }
}

/// Why a question to SES was not answered. The texts are for the operator and contain no secret.
public enum SESInquiryFailure: Error, Hashable, Sendable {
    /// There are no credentials to sign with.
    case noCredentials(String)
    /// AWS does not know or no longer accepts the credentials, or the signature does not match.
    case credentialsRefused(String)
    /// The credentials are valid but lack the permission for this call.
    case denied(String)
    /// AWS refuses the time of the signature.
    case clockRefused(String)
    case notFound(String)
    case throttled
    case unreachable(String)
    case unexpected(String)
}

/// A comparison of this machine's clock with a server's clock.
public struct ClockReading: Hashable, Sendable {
    /// When the question was sent, by this machine's clock.
    public var askedAt: Timestamp
    /// When the answer came, by this machine's clock.
    public var answeredAt: Timestamp
    /// The time that the server's clock showed between these two moments, in whole seconds.
    public var server: Timestamp

    public init(askedAt: Timestamp, answeredAt: Timestamp, server: Timestamp) {
        self.askedAt = askedAt
        self.answeredAt = answeredAt
        self.server = server
    }

    /// How far this machine's clock is ahead; negative when it is behind. It is the smallest value that can be proved,
    /// because the answer took time and the server leaves out fractions of a second.
    public var ahead: Duration {
        let end = server + .seconds(1)
        if askedAt > end { return askedAt - end }
        if answeredAt < server { return answeredAt - server }
        return .zero
    }
}

/// The answer to a question, and what the two clocks showed.
public struct SESInquiry<Value: Sendable>: Sendable {
    /// The answer, or why there is none.
    public var result: Result<Value, SESInquiryFailure>
    /// Nil when there was no answer, or no date in it.
    public var clock: ClockReading?

    public init(_ result: Result<Value, SESInquiryFailure>, clock: ClockReading? = nil) {
        self.result = result
        self.clock = clock
    }
}

/// Questions of operators' tools. Sending does not use them.
extension SESTransport {
    static let identityPath = "/v2/email/identities/"

    /// Asks about the account (GetAccount).
    public func account() async -> SESInquiry<SESAccountState> {
        await ask(SESTransport.accountPath) { SESAccountState(document: $0) }
    }

    /// Asks about a domain in A-labels or an address.
    public func identity(_ name: String) async -> SESInquiry<SESIdentityState> {
        await ask(SESTransport.identityPath + PathSegment.encoded(name)) { SESIdentityState(document: $0) }
    }

    private func ask<Value: Sendable>(
        _ path: String, _ read: @Sendable ([UInt8]) -> Value?
    ) async -> SESInquiry<Value> {
        let result = await withCredentials { credentials in
            let request = self.request(.GET, path, SESTransport.emptyHash, credentials)
            return await self.call(request, within: self.configuration.requestTimeout, credentials, UploadProgress())
        }
        switch result {
        case .unsigned(let error):
            return SESInquiry(.failure(.noCredentials(ForeignText.bounded(error.explanation, 1000))))
        case .unanswered(let failure, _): return SESInquiry(.failure(.unreachable(failure.predicate)))
        case .answered(let answer, let arrival):
            let clock = arrival.date.flatMap(HTTPDate.parse).map {
                ClockReading(askedAt: arrival.askedAt, answeredAt: arrival.answeredAt, server: $0)
            }
            guard answer.status == 200 else { return SESInquiry(.failure(answer.inquiryFailure), clock: clock) }
            guard let value = read(arrival.body) else {
                return SESInquiry(.failure(.unexpected("the answer is not from SES: check ses.endpoint")), clock: clock)
            }
            return SESInquiry(.success(value), clock: clock)
        }
    }
}

extension SESAnswer {
    /// The failure that an answer other than success means.
    var inquiryFailure: SESInquiryFailure {
        let name = errorName ?? "HTTP status \(status)"
        let words = message.isEmpty ? name : "\(name): \(message)"
        switch kind {
        case .clock: return .clockRefused(words)
        // SES's own text repeats the signed request, so only the error's name is used.
        case .signature: return .credentialsRefused(name)
        case .credentials: return .credentialsRefused(words)
        case .denied, .identityDenied: return .denied(words)
        case .notFound: return errorName == "NotFoundException" ? .notFound(words) : .unexpected(words)
        case .throttled, .dailyQuota, .limit: return .throttled
        case .paused, .notVerified, .mailFromDomain, .rejected, .redirect, .foreign, .interrupted, .serverError:
            return .unexpected(words)
        }
    }
}

/// A path segment (RFC 3986 section 3.3), limited to characters that are safe without further rules.
enum PathSegment {
    static func encoded(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default: result += "%" + CollectionOfOne(byte).hexadecimal.uppercased()
            }
        }
    }
}

extension SESAccountState {
    /// Returns nil when the JSON is not the answer to this question.
    init?(document body: [UInt8]) {
        struct Document: Decodable {
            var ProductionAccessEnabled: Bool?
            var SendingEnabled: Bool?
            var EnforcementStatus: String?
        }
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(body)) else { return nil }
        let quota = SendQuota(account: body)
        self.init(
            hasProductionAccess: document.ProductionAccessEnabled, isSendingEnabled: document.SendingEnabled,
            enforcement: document.EnforcementStatus.map { ForeignText.bounded($0, 40) }, quota: quota)
        // Another service's answer may also be JSON.
        guard hasProductionAccess != nil || isSendingEnabled != nil || quota != nil else { return nil }
    }
}

extension SESIdentityState {
    /// Returns nil when the JSON is not the answer to this question.
    init?(document body: [UInt8]) {
        struct Document: Decodable {
            struct Attributes: Decodable {
                var MailFromDomain: String?
                var MailFromDomainStatus: String?
                var BehaviorOnMxFailure: String?
            }
            var VerifiedForSendingStatus: Bool?
            var VerificationStatus: String?
            var MailFromAttributes: Attributes?
        }
        guard let document = try? JSONDecoder().decode(Document.self, from: Data(body)),
            let isVerified = document.VerifiedForSendingStatus
        else { return nil }
        var mailFrom: MailFrom?
        if let attributes = document.MailFromAttributes, let domain = attributes.MailFromDomain, !domain.isEmpty {
            mailFrom = MailFrom(
                domain: ForeignText.bounded(domain, 253),
                status: ForeignText.bounded(attributes.MailFromDomainStatus ?? "", 40),
                isRequired: attributes.BehaviorOnMxFailure == "REJECT_MESSAGE")
        }
        self.init(
            isVerifiedForSending: isVerified,
            verification: document.VerificationStatus.map { ForeignText.bounded($0, 40) }, mailFrom: mailFrom)
    }
}
