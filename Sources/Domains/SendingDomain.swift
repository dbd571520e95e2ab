import InternetMessage
import RelayCore

/// Whether it is known that a domain may be sent from, in the words of SES.
package enum DomainStatus: String, CaseIterable, Hashable, Sendable {
    /// Its DKIM records have not been found yet.
    case pending
    case verified
    /// They have not been found for 72 hours, and are not looked for any more.
    case failed
    case temporaryFailure = "temporary_failure"
    case notStarted = "not_started"
}

/// A domain to send from, as SES or the simulation knows it.
package struct SendingDomain: Hashable, Sendable {
    /// Where the public keys of DKIM are.
    package struct DKIM: Hashable, Sendable {
        /// The selectors, each of one CNAME record.
        package var tokens: [String]
        /// The zone that the CNAME records point into.
        package var zone: String

        package init(tokens: [String], zone: String) {
            self.tokens = tokens
            self.zone = zone
        }
    }

    /// A domain of one's own in the envelope sender, so that SPF aligns.
    package struct MailFrom: Hashable, Sendable {
        package var domain: String
        /// The host that its MX record names: it takes bounces.
        package var host: String

        package init(domain: String, host: String) {
            self.domain = domain
            self.host = host
        }
    }

    package var name: DomainName
    package var status: DomainStatus
    package var isSendingEnabled: Bool
    /// Nil where it is not known: SES does not tell.
    package var createdAt: Timestamp?
    /// Nil where DKIM is set up with a key of the owner's own, or not at all.
    package var dkim: DKIM?
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

/// Why something about a domain can't be told or done.
package enum DomainFailure: Error, Sendable {
    /// There is no such domain.
    case notFound
    /// There are as many domains as there can be.
    case tooMany(String)
    /// SES takes no such domain. Its words.
    case refused(String)
    /// The credentials may not do it. The permission of IAM that is missing.
    case denied(permission: String)
    /// The relay has no SES account.
    case unconfigured
    /// SES does not answer, or not as it should. The words complete "SES does not answer just now:".
    case unavailable(String)
    /// Too many are asking at the moment.
    case busy
    /// The relay's own records don't answer.
    case storage(any Error)
}

/// Who knows the domains of an environment.
package protocol DomainAuthority: Sendable {
    /// Of all domains; the records that belong to them may be left out.
    ///
    /// - Parameter isWanted: which of them.
    /// - Returns: at most `limit` of those behind `name`, by name, octet for octet.
    func domains(
        behind name: String?, limit: Int, _ isWanted: @escaping @Sendable (String) -> Bool
    ) async throws(DomainFailure) -> [SendingDomain]

    func domain(_ name: DomainName) async throws(DomainFailure) -> SendingDomain

    /// Adds a domain, or finds the one that there is.
    func add(_ name: DomainName, by key: KeyID?) async throws(DomainFailure) -> (domain: SendingDomain, isNew: Bool)

    /// Looks again whether it may be sent from.
    func verify(_ name: DomainName) async throws(DomainFailure) -> SendingDomain

    /// What is said to be in DNS for a record. Nil: it is looked up.
    func simulatedFinding(of record: DomainRecord, for domain: SendingDomain) -> RecordFinding?
}
