import AWSClient
import Admission
import Delivery
import Feedback
import Foundation
import HTTPServer
import InternetMessage
import Logging
import RelayCore
import SMTPServer
import SenderReports
import Settings
import Telemetry

// These extensions translate the settings into the terms of each module. Modules do not know the settings, so each
// module can be used by itself.

extension Admission.Configuration {
    init(_ settings: RelaySettings) {
        let submission = settings.submission
        self.init(
            hostname: settings.hostname, maximumMessageSize: submission.maximumMessageSize,
            maximumRecipients: submission.maximumRecipients, maximumRateDelay: submission.maximumRateDelay,
            preparation: PreparationPolicy(
                longLines: submission.longLines == .fold ? .fold : .refuse, addReceived: submission.receivedHeader,
                refusedAttachments: AttachmentEndings(submission.refusedAttachments)),
            detectsRepeats: submission.detectsRepeats)
    }
}

extension SMTPServerConfiguration {
    init(_ settings: RelaySettings) {
        let submission = settings.submission
        self.init(
            hostname: settings.hostname, maximumMessageSize: submission.maximumMessageSize,
            maximumRecipients: submission.maximumRecipients, idleTimeout: submission.idleTimeout,
            authenticationTimeout: submission.authenticationTimeout,
            plaintextAuthenticationNetworks: submission.plaintextAuthenticationNetworks)
    }
}

extension HTTPServerConfiguration {
    init(_ settings: RelaySettings) {
        // Large requests are written to the state directory: the service has permission to write there, and its disk
        // has room for messages. If the database is on a server, the directory need not exist.
        let directory = settings.stateDirectory
        let isUsable = settings.database.file != nil || FileManager.default.isWritableFile(atPath: directory)
        self.init(
            maximumMessageSize: settings.submission.maximumMessageSize,
            maximumRecipients: settings.submission.maximumRecipients, trustedProxies: settings.http.trustedProxies,
            scratchDirectory: isUsable ? directory : FileManager.default.temporaryDirectory.path,
            webhookAddresses: WebhookAddressPolicy(settings.webhooks))
    }
}

extension WebhookAddressPolicy {
    init(_ settings: RelaySettings.Webhooks) { self.init(privateNetworks: settings.privateNetworks) }
}

extension RelayCore.SenderReports {
    init(_ settings: RelaySettings.Bounces) {
        self = settings.from == nil ? .off : settings.forEvents ? .ofFailuresAndEvents : .ofFailures
    }
}

extension SenderReporter.Configuration {
    init(_ settings: RelaySettings) { self.init(from: settings.bounces.from, hostname: settings.hostname) }
}

extension RetrySchedule {
    init(_ settings: RelaySettings.Delivery) {
        self.init(
            first: settings.retryFirst, maximum: settings.retryMaximum, giveUpAfter: settings.giveUpAfter)
    }
}

extension RelaySettings.SES {
    /// Emails per second. Nil: the account's quota decides.
    var maximumRate: Double? {
        switch maximumSendRate {
        case .automatic: nil
        case .fixed(let rate): rate
        }
    }
}

extension DeliveryConfiguration {
    /// Makes the configuration of the live lane. The test lane's is ``DeliveryConfiguration/simulated(schedule:)``.
    init(_ settings: RelaySettings) {
        self.init(
            concurrency: settings.ses.concurrency, settleDelay: .milliseconds(10),
            pacing: .account(maximumRate: settings.ses.maximumRate),
            schedule: RetrySchedule(settings.delivery))
    }
}

extension TelemetryListener.Place {
    init(_ listener: RelaySettings.Metrics.Listener) {
        self =
            switch listener {
            case .loopback(let address, let port): .address(host: "\(address)", port: port)
            case .unix(let path): .unix(path: path)
            }
    }
}

extension SQSQueue {
    /// Nil if no queue is set.
    init?(_ settings: RelaySettings) throws(SQSQueueError) {
        guard let url = settings.feedback.queueURL, let region = settings.feedbackRegion else { return nil }
        try self.init(url: url, region: region, endpoint: settings.feedback.endpoint)
    }
}

extension CredentialsChain {
    init(_ settings: RelaySettings.SES, environment: [String: String], clock: any RelayClock, logger: Logger) {
        self.init(
            environment: environment, credentialsFile: settings.credentialsFile, profile: settings.profile,
            clock: clock, logger: logger)
    }
}
