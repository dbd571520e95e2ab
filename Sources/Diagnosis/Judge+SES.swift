import RelayCore
import SESTransport

/// Where the credentials came from, without the secret part.
public struct CredentialsOrigin: Hashable, Sendable {
    /// The source in words, for the operator.
    public var source: String
    /// The access key id, which is not secret.
    public var accessKeyID: String

    public init(source: String, accessKeyID: String) {
        self.source = source
        self.accessKeyID = accessKeyID
    }
}

extension Judge {
    /// All checks that ask SES, in the order of the report.
    static let sesSubjects: [Finding.Subject] = [.ses, .credentials, .clock, .account, .quota, .identity]

    /// Skips the checks from `first` on, which can't be made.
    public static func sesSkipped(
        from first: Finding.Subject = .ses, because reason: String, remedy: String
    ) -> [Finding] {
        sesSubjects.drop { $0 != first }.map { .skipped($0, reason, remedy: remedy) }
    }

    /// Replaces all checks that ask SES if no key needs SES.
    public static let noLiveKeys = sesSkipped(
        because: "no key in use sends through SES",
        remedy: "nothing, until you create one: hiveku-relay keys create --environment live --scope email:send …")

    /// There are live keys, but no region is set.
    public static let regionNotSet =
        [
            Finding.problem(
                .ses, "ses.region is not set, but there are live keys: their mail waits",
                remedy: "set ses.region to the region of the SES account, such as eu-west-1, and restart the relay")
        ] + sesSkipped(from: .credentials, because: "ses.region is not set", remedy: "set it first")

    /// The settings of SES can't be used, for the reason `why`.
    public static func unusableSES(_ why: String) -> [Finding] {
        [.problem(.ses, why, remedy: "correct the settings under ses")]
            + sesSkipped(from: .credentials, because: "the settings of SES are wrong", remedy: "correct them first")
    }

    /// SES can't be asked, because there are no credentials, for the reason `why`.
    public static func noCredentials(region: String, _ why: String) -> [Finding] {
        let missing = "there are no credentials"
        return [
            .skipped(.ses, "SES in \(region) was not asked: \(missing)", remedy: "give the relay credentials first"),
            .problem(.credentials, why, remedy: credentialsRemedy),
        ] + sesSkipped(from: .clock, because: missing, remedy: "give the relay credentials first")
    }

    private static let credentialsRemedy =
        "set ses.credentials_file to a file like ~/.aws/credentials, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the "
        + "service's environment, or give the machine an IAM role. Doctor can't see what systemd passes only to the service (LoadCredential=, "
        + "Environment=)"

    /// Judges the answer to the request for the account: all findings down to the quota.
    public static func ses(
        region: String, endpoint: String?, _ origin: CredentialsOrigin, _ inquiry: SESInquiry<SESAccountState>
    ) -> [Finding] {
        let place = endpoint.map { "\($0) (region \(region))" } ?? "SES in \(region)"
        if case .failure(.unreachable(let why)) = inquiry.result {
            return [
                .problem(
                    .ses, "\(place) \(why)",
                    remedy: "check ses.region and ses.endpoint, and that this machine can connect to it on port 443: "
                        + "curl -I \(endpoint ?? "https://email.\(region).amazonaws.com")")
            ]
                + sesSkipped(from: .credentials, because: "SES did not answer", remedy: "make SES answer first")
                .filter { $0.subject != .identity }
        }
        return [.ok(.ses, "\(place) answers"), credentials(origin, inquiry), clock(inquiry.clock)]
            + account(region, inquiry.result)
    }

    /// Whether asking about identities too can succeed.
    public static func isWorthAsking(after inquiry: SESInquiry<SESAccountState>) -> Bool {
        switch inquiry.result {
        case .success, .failure(.denied), .failure(.notFound), .failure(.throttled), .failure(.unexpected): true
        case .failure(.noCredentials), .failure(.credentialsRefused), .failure(.clockRefused), .failure(.unreachable):
            false
        }
    }

    // MARK: Credentials and clock

    private static func credentials(
        _ origin: CredentialsOrigin, _ inquiry: SESInquiry<SESAccountState>
    ) -> Finding {
        let found = "AWS credentials from the \(origin.source), access key id \(origin.accessKeyID)"
        switch inquiry.result {
        case .failure(.clockRefused):
            return .skipped(
                .credentials, "\(found): AWS did not check them, because this machine's clock is wrong",
                remedy: "set the clock first")
        case .failure(.credentialsRefused(let why)):
            let isClock = inquiry.clock.map { abs($0.ahead) > clockLimit } ?? false
            return .problem(
                .credentials, "\(found), are refused: \(why)",
                remedy: isClock
                    ? "set the clock first"
                    : "check that the access key id and the secret in this source belong together, or create a new access "
                        + "key in IAM and put its id and secret there. The relay reads a changed credentials file by itself; after a "
                        + "change of the service's environment or of LoadCredential=, restart the relay"
            )
        case .failure(.noCredentials(let why)): return .problem(.credentials, why, remedy: credentialsRemedy)
        default: return .ok(.credentials, "\(found), are accepted")
        }
    }

    static let clockWarning = Duration.seconds(60)
    /// AWS refuses signatures whose time differs by more than this.
    static let clockLimit = Duration.seconds(300)

    static func clock(_ reading: ClockReading?) -> Finding {
        guard let reading else {
            return .skipped(
                .clock, "SES's response has no date to compare the clock with",
                remedy: "check that the clock is synchronised: timedatectl"
            )
        }
        let off = abs(reading.ahead)
        let found = "this machine's clock is \(off.spelled) \(reading.ahead > .zero ? "ahead of" : "behind") SES's"
        let remedy =
            "synchronise it: timedatectl set-ntp true, then check with timedatectl timesync-status or chronyc tracking"
        if off > clockLimit {
            return .problem(.clock, "\(found): AWS refuses the requests that are signed with it", remedy: remedy)
        }
        if off > clockWarning { return .warning(.clock, found, remedy: remedy) }
        return .ok(.clock, off < .seconds(2) ? "this machine's clock agrees with SES's" : found)
    }

    private static func abs(_ duration: Duration) -> Duration { duration < .zero ? .zero - duration : duration }

    // MARK: Account and quota

    static func account(_ region: String, _ result: Result<SESAccountState, SESInquiryFailure>) -> [Finding] {
        switch result {
        case .success(let state): return account(region, state) + [quota(state.quota)]
        case .failure(.denied(let why)):
            return [
                .warning(
                    .account,
                    "the credentials are not allowed to read the account's state (\(why)), so a sandbox or a pause can't be detected",
                    remedy: "allow ses:GetAccount to their user or role in IAM; the relay can send without it"),
                .skipped(
                    .quota, "the credentials are not allowed to read the quota",
                    remedy: "allow ses:GetAccount, or set ses.max_send_rate to the account's rate"),
            ]
        case .failure(.credentialsRefused), .failure(.clockRefused), .failure(.noCredentials), .failure(.unreachable):
            return [.account, .quota].map {
                .skipped($0, "SES does not accept these credentials", remedy: "correct credentials and clock first")
            }
        case .failure(.throttled):
            return [.account, .quota].map {
                .skipped($0, "SES throttles requests at the moment", remedy: "run doctor again")
            }
        case .failure(.notFound(let why)), .failure(.unexpected(let why)):
            return [
                .warning(
                    .account, "SES did not report the account's state: \(why)",
                    remedy: "run doctor again; if that does not help, check ses.endpoint"),
                .skipped(.quota, "SES did not report the quota", remedy: "follow the advice about the account"),
            ]
        }
    }

    private static func account(_ region: String, _ state: SESAccountState) -> [Finding] {
        var findings: [Finding] = []
        if state.isSendingEnabled == false || state.enforcement == "SHUTDOWN" {
            findings.append(
                .problem(
                    .account, "SES has paused sending for this account in \(region): live mail waits in the queue",
                    remedy:
                        "read AWS's case in the SES console (Account dashboard, Reputation metrics) and answer it; if you "
                        + "paused it yourself: aws sesv2 put-account-sending-attributes --sending-enabled --region \(region)"
                ))
        }
        if state.enforcement == "PROBATION" {
            findings.append(
                .warning(
                    .account, "SES has put the account under review, and may pause its sending",
                    remedy: "check the bounce and complaint rates in the SES console (Reputation metrics)"))
        }
        if state.hasProductionAccess == false {
            findings.append(
                .warning(
                    .account,
                    "the account is in SES's sandbox in \(region): mail goes only to verified recipients, at most 200 emails a day and 1 a second",
                    remedy: "ask for production access in the SES console (Account dashboard), in the same region"))
        }
        return findings.isEmpty
            ? [.ok(.account, "SES sends for this account in \(region), to any recipient")] : findings
    }

    private static func quota(_ quota: SendQuota?) -> Finding {
        guard let quota else {
            return .skipped(
                .quota, "SES did not report the quota", remedy: "set ses.max_send_rate to the account's rate")
        }
        let sent = whole(quota.sentLast24Hours.rounded())
        let rate = "\(whole(quota.maximumRate)) a second"
        guard let limit = quota.maximum24Hours, limit > 0 else {
            return .ok(
                .quota, "\(sent) \(sent == "1" ? "email" : "emails") in the last 24 hours, no limit; at most \(rate)")
        }
        let share = quota.sentLast24Hours / limit
        let found =
            "\(sent) of \(whole(limit)) emails in the last 24 hours (\(Int(min(share * 100, 9999))) %), at most \(rate)"
        let remedy =
            "ask for a higher sending quota in the AWS console (Service Quotas, SES), or give keys lower limits: "
            + "hiveku-relay keys update ID --per-day N"
        if share >= 1 { return .problem(.quota, "the quota is used up, live mail waits: \(found)", remedy: remedy) }
        if share > 0.8 { return .warning(.quota, "the quota is nearly used up: \(found)", remedy: remedy) }
        return .ok(.quota, found)
    }

    /// A whole number without decimals. SES's value may be larger than an integer can hold.
    private static func whole(_ number: Double) -> String {
        number == number.rounded() && Swift.abs(number) < 1e15 ? "\(Int(number))" : "\(number)"
    }
}
