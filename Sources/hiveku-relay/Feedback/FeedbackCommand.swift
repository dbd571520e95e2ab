import ArgumentParser
import Foundation

struct FeedbackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "feedback",
        abstract: "Receive SES's events about messages: set them up at AWS, and check that they arrive.",
        discussion: """
            SES accepts a message, and reports later whether it was delivered, bounced or marked as spam. It sends \
            these events through a configuration set, an SNS topic and an SQS queue, which the relay reads. No \
            connection to the relay from outside is needed, and the SQS queue keeps events for 14 days while the relay is \
            down.

            1. Print the template and deploy it in the region of SES:

                 hiveku-relay feedback template > feedback.yaml
                 aws cloudformation deploy --template-file feedback.yaml \\
                   --stack-name hiveku-relay --capabilities CAPABILITY_IAM \\
                   --parameter-overrides RelayUser=NAME-OF-THE-IAM-USER

            2. Take the lines for relay.yaml from the stack, and restart the relay:

                 aws cloudformation describe-stacks --stack-name hiveku-relay \\
                   --output text --query \\
                   "Stacks[0].Outputs[?OutputKey=='RelaySettings'].OutputValue"
                 systemctl restart hiveku-relay

            3. Send a live message, and see whether its event arrives:

                 hiveku-relay feedback status
            """,
        subcommands: [Template.self, FeedbackStatusCommand.self])

    struct Template: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a CloudFormation template with everything that is needed at AWS.",
            discussion: """
                It creates the SES configuration set with its event destination, the SNS topic, the SQS queue with its \
                policy and dead letter queue, and the IAM policy of the relay. Its outputs hold the lines for \
                relay.yaml. 'hiveku-relay feedback --help' lists all steps.
                """)

        func run() throws { try Output.write(Array(FeedbackTemplate.text.utf8)) }
    }
}
