import InternetMessage
import RelayCore

/// How far SES is with the verification of a domain: VerificationStatus of GetEmailIdentity (Amazon SES API v2
/// Reference). The raw values are the words of the HTTP API.
package enum DomainStatus: String, CaseIterable, Hashable, Sendable {
    /// SES has not found the domain's DKIM records yet.
    case pending
    /// SES has found the records.
    case verified
    /// SES has not found the records for 72 hours, and has stopped looking for them.
    case failed
    /// A temporary problem keeps SES from finding out the status.
    case temporaryFailure = "temporary_failure"
    /// SES has not begun to look for the records.
    case notStarted = "not_started"
}

/// A domain to send from, as SES or the simulation knows it.
package struct SendingDomain: Hashable, Sendable {
    /// Where the public keys of the domain's DKIM signatures are published.
    package struct DKIM: Hashable, Sendable {
        /// The selectors. Each of them has a CNAME record.
        package var tokens: [String]
        /// The zone that the CNAME records point into.
        package var zone: String

        package init(tokens: [String], zone: String) {
            self.tokens = tokens
            self.zone = zone
        }
    }

    /// The custom MAIL FROM domain: a subdomain that is used in the envelope sender, so that SPF aligns with the author
    /// (RFC 7489 section 3.1.2).
    package struct MailFrom: Hashable, Sendable {
        /// The subdomain.
        package var domain: String
        /// The host that its MX record must name. This host receives bounces.
        package var host: String

        package init(domain: String, host: String) {
            self.domain = domain
            self.host = host
        }
    }

    package var name: DomainName
    package var status: DomainStatus
    /// Whether the domain is verified, so that messages can be sent from it.
    package var isSendingEnabled: Bool
    /// When the domain was added. Nil for the domains of SES, which does not say.
    package var createdAt: Timestamp?
    /// Nil if DKIM is not set up, or if it is set up with a key that the domain's owner provides.
    package var dkim: DKIM?
    /// Nil if the domain has no custom MAIL FROM domain.
    package var mailFrom: MailFrom?

    package init(
        name: DomainName, status: DomainStatus, isSendingEnabled: Bool, createdAt: Timestamp? = nil, dkim: DKIM? = nil,
        mailFrom: MailFrom? = nil
    ) {
        self.name = name
        self.status = status
        self.isSendingEnabled = isSendingEnabled
        self.createdAt = createdAt
        self.dkim = dkim
        self.mailFrom = mailFrom
    }
}

/// Why a request about domains failed.
package enum DomainFailure: Error, Sendable {
    /// There is no such domain.
    case notFound
    /// There are already as many domains as are allowed. The text says how many.
    case tooMany(String)
    /// SES does not accept this domain. The text is SES's reason.
    case refused(String)
    /// The AWS credentials lack this IAM permission.
    case denied(permission: String)
    /// The relay has no SES account.
    case unconfigured
    /// SES does not answer, or its answer is unusable. The words complete "SES does not answer:".
    case unavailable(String)
    /// Too many requests about domains are in progress.
    case busy
    /// The relay's store failed.
    case storage(any Error)
}

/// The source of an environment's domains: SES, the simulation, or none.
package protocol DomainAuthority: Sendable {
    /// Lists domains. Their `dkim` and `mailFrom` may be missing.
    ///
    /// - Parameters:
    ///   - name: the list begins after this name; nil: with the first domain.
    ///   - limit: the largest number of domains.
    ///   - isWanted: whether the domain with this name belongs in the list.
    /// - Returns: the domains in the order of the octets of their names.
    func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain]

    /// Finds a domain.
    ///
    /// - Throws: ``DomainFailure``, which is ``DomainFailure/notFound`` if there is no such domain.
    func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain

    /// Adds a domain, or finds it if it exists already.
    ///
    /// - Parameter key: the key that adds it; nil: an operator.
    /// - Returns: the domain, and whether this call has added it.
    func add(_ name: DomainName, by key: KeyID?) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool)

    /// Checks again whether the domain is verified.
    func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain

    /// The simulated content of DNS for a record. Nil if the record is to be looked up in DNS.
    func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding?
}
