import SESTransport

extension Judge {
    /// The identities that let `domain` send: the domain itself, and its parent domains, because SES verifies a domain
    /// together with its subdomains. The top-level domain is left out. A deep name has at most five: the name itself
    /// and the four shortest, because mostly the registered domain is verified.
    public static func identities(for domain: String) -> [String] {
        let labels = domain.split(separator: ".")
        guard labels.count > 1 else { return [domain] }
        // A name can have 127 labels. SES is not asked about every level.
        let levels = [0] + (max(1, labels.count - 5)..<max(1, labels.count - 1))
        return levels.map { labels[$0...].joined(separator: ".") }
    }

    /// Judges what SES knows about a domain's identities, as far as it was asked: in the order of ``identities(for:)``,
    /// up to the first one that is verified.
    public static func identity(
        of domain: String, region: String,
        _ answers: [(name: String, result: Result<SESIdentityState, SESInquiryFailure>)]
    ) -> [Finding] {
        for answer in answers {
            guard case .success(let state) = answer.result, state.isVerifiedForSending else { continue }
            let above = answer.name == domain ? "" : ", by its parent \(answer.name)"
            return mailFrom(of: answer.name, state, region)
                + [.ok(.identity, "\(domain) is verified for sending in \(region)\(above)")]
        }
        for answer in answers {
            switch answer.result {
            case .success(let state): return [pending(answer.name, state, region)]
            case .failure(.notFound): continue
            case .failure(let failure): return [unknown(domain, failure)]
            }
        }
        return [
            .problem(
                .identity, "SES has no identity for \(domain) in \(region): mail from it fails",
                remedy:
                    "hiveku-relay domains add \(domain), or aws sesv2 create-email-identity --email-identity \(domain) --region \(region), then publish the "
                    + "CNAME records that it prints; if each sending address is verified separately, nothing needs to be done"
            )
        ]
    }

    private static func pending(_ name: String, _ state: SESIdentityState, _ region: String) -> Finding {
        let status = state.verification.map { " (\($0))" } ?? ""
        return .problem(
            .identity, "\(name) is not verified for sending in \(region)\(status): mail from it fails",
            remedy:
                "publish the CNAME records that this command prints: hiveku-relay domains show \(name), or aws sesv2 get-email-identity --email-identity \(name) "
                + "--region \(region) (DkimAttributes, Tokens)")
    }

    private static func unknown(_ domain: String, _ failure: SESInquiryFailure) -> Finding {
        switch failure {
        case .denied(let why):
            .skipped(
                .identity, "the credentials are not allowed to ask about \(domain) (\(why))",
                remedy: "allow ses:GetEmailIdentity to their user or role in IAM; the relay can send without it")
        case .throttled:
            .skipped(.identity, "SES throttled the requests about \(domain)", remedy: "run doctor again")
        case .notFound(let why), .unexpected(let why), .noCredentials(let why), .credentialsRefused(let why),
            .clockRefused(let why):
            .warning(.identity, "SES did not answer about \(domain): \(why)", remedy: "run doctor again")
        case .unreachable(let why):
            .warning(
                .identity, "SES \(why), so the identity of \(domain) was not checked", remedy: "run doctor again")
        }
    }

    private static func mailFrom(of name: String, _ state: SESIdentityState, _ region: String) -> [Finding] {
        guard let mailFrom = state.mailFrom, mailFrom.status != "SUCCESS" else { return [] }
        let found = "the MAIL FROM domain \(mailFrom.domain) of \(name) is not set up (\(mailFrom.status))"
        let remedy =
            "publish its records: MX 10 feedback-smtp.\(region).amazonses.com and TXT \"v=spf1 include:amazonses.com ~all\""
        return [
            mailFrom.isRequired
                ? .problem(.identity, "\(found), and SES is configured to refuse mail in that case", remedy: remedy)
                : .warning(.identity, "\(found); SES uses its own domain instead", remedy: remedy)
        ]
    }

    /// There is no domain to ask SES about.
    public static func noDomains() -> Finding {
        .skipped(
            .identity,
            "it is not known which domains send: no live key has --allow-domain, and none has sent yet",
            remedy:
                "nothing needs to be corrected; to have a domain checked, restrict its key to it: hiveku-relay keys update ID "
                + "--allow-domain example.com")
    }

    /// Reports that SES was not asked about these domains.
    public static func notAsked(_ domains: [String], because reason: String) -> Finding {
        .skipped(
            .identity, "doctor did not ask SES about \(list(domains)): \(reason)",
            remedy: "check them in the SES console (Identities)")
    }
}
