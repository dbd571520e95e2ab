/// The AWS resources that are needed for SES's events about messages to reach the relay.
enum FeedbackTemplate {
    /// A template for CloudFormation. Linted by `Tests/Integration/test_feedback.py`.
    static let text = #"""
        AWSTemplateFormatVersion: "2010-09-09"
        Description: >-
          What the Hiveku Relay needs at AWS: an SES configuration set whose events go to an SNS topic and from there into an
          SQS queue, which the relay reads, and the IAM policy of the relay. Deploy it in the region of ses.region.

        Parameters:
          Name:
            Type: String
            Default: hiveku-relay
            AllowedPattern: "[A-Za-z0-9][A-Za-z0-9-]{0,39}"
            ConstraintDescription: 1 to 40 letters, digits and hyphens.
            Description: The configuration set gets this name, and the other resources one that begins with it. Relays that share a database share a name; give each other relay its own.
          RelayUser:
            Type: String
            Default: ""
            Description: The IAM user whose access key the relay has. The policy is attached to it. If empty, attach the policy yourself.
          RelayRole:
            Type: String
            Default: ""
            Description: The IAM role that the relay's machine has. The policy is attached to it. Empty if there is none.

        Conditions:
          HasUser: !Not [!Equals [!Ref RelayUser, ""]]
          HasRole: !Not [!Equals [!Ref RelayRole, ""]]

        Resources:
          ConfigurationSet:
            Type: AWS::SES::ConfigurationSet
            Properties:
              Name: !Ref Name

          EventDestination:
            Type: AWS::SES::ConfigurationSetEventDestination
            # SES publishes to the topic to test it when the destination is created.
            DependsOn: TopicPolicy
            Properties:
              ConfigurationSetName: !Ref ConfigurationSet
              EventDestination:
                Name: hiveku-relay
                Enabled: true
                # Opens and clicks are left out: SES would change the messages for them.
                MatchingEventTypes: [bounce, complaint, delivery, deliveryDelay, reject, renderingFailure]
                SnsDestination:
                  TopicARN: !Ref Topic

          Topic:
            Type: AWS::SNS::Topic
            Properties:
              TopicName: !Sub "${Name}-feedback"

          # Only SES may publish, and only for this configuration set of this account.
          TopicPolicy:
            Type: AWS::SNS::TopicPolicy
            Properties:
              Topics: [!Ref Topic]
              PolicyDocument:
                Version: "2012-10-17"
                Statement:
                  - Sid: SESPublishes
                    Effect: Allow
                    Principal:
                      Service: ses.amazonaws.com
                    Action: sns:Publish
                    Resource: !Ref Topic
                    Condition:
                      StringEquals:
                        aws:SourceAccount: !Ref AWS::AccountId
                        aws:SourceArn: !Sub "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/${Name}"

          Queue:
            Type: AWS::SQS::Queue
            # Events that the relay has not read are lost with the queue.
            DeletionPolicy: Delete
            UpdateReplacePolicy: Delete
            Properties:
              QueueName: !Sub "${Name}-feedback"
              # 14 days: the relay can be down for that long without losing an event.
              MessageRetentionPeriod: 1209600
              ReceiveMessageWaitTimeSeconds: 20
              VisibilityTimeout: 120
              SqsManagedSseEnabled: true
              RedrivePolicy:
                deadLetterTargetArn: !GetAtt DeadLetterQueue.Arn
                maxReceiveCount: 20

          # Messages that the relay has failed to store 20 times. Redrive them to the queue once the cause is gone.
          DeadLetterQueue:
            Type: AWS::SQS::Queue
            DeletionPolicy: Delete
            UpdateReplacePolicy: Delete
            Properties:
              QueueName: !Sub "${Name}-feedback-dead"
              MessageRetentionPeriod: 1209600
              SqsManagedSseEnabled: true

          # Only the topic may send: anyone who can write into the queue can invent bounces.
          QueuePolicy:
            Type: AWS::SQS::QueuePolicy
            Properties:
              Queues: [!Ref Queue]
              PolicyDocument:
                Version: "2012-10-17"
                Statement:
                  - Sid: TopicSends
                    Effect: Allow
                    Principal:
                      Service: sns.amazonaws.com
                    Action: sqs:SendMessage
                    Resource: !GetAtt Queue.Arn
                    Condition:
                      ArnEquals:
                        aws:SourceArn: !Ref Topic
                  - Sid: OnlyUnderTLS
                    Effect: Deny
                    Principal: "*"
                    Action: sqs:*
                    Resource: !GetAtt Queue.Arn
                    Condition:
                      Bool:
                        aws:SecureTransport: "false"

          Subscription:
            Type: AWS::SNS::Subscription
            DependsOn: QueuePolicy
            Properties:
              TopicArn: !Ref Topic
              Protocol: sqs
              Endpoint: !GetAtt Queue.Arn
              RawMessageDelivery: true

          RelayPolicy:
            Type: AWS::IAM::ManagedPolicy
            Properties:
              Description: What the Hiveku Relay may do - send through SES and read SES's events.
              Users: !If [HasUser, [!Ref RelayUser], !Ref AWS::NoValue]
              Roles: !If [HasRole, [!Ref RelayRole], !Ref AWS::NoValue]
              PolicyDocument:
                Version: "2012-10-17"
                Statement:
                  - Sid: Send
                    Effect: Allow
                    Action: [ses:SendEmail, ses:SendRawEmail]
                    Resource:
                      - !Sub "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:identity/*"
                      - !Sub "arn:${AWS::Partition}:ses:${AWS::Region}:${AWS::AccountId}:configuration-set/${Name}"
                  # The relay reads the account's rate; doctor reads the identities.
                  - Sid: Look
                    Effect: Allow
                    Action: [ses:GetAccount, ses:GetEmailIdentity, ses:ListEmailIdentities]
                    Resource: "*"
                  # For 'hiveku-relay domains add' and keys with the scope email:domains. Leave it out if nobody adds domains there.
                  - Sid: AddDomains
                    Effect: Allow
                    Action: [ses:CreateEmailIdentity]
                    Resource: "*"
                  - Sid: ReadFeedback
                    Effect: Allow
                    Action: [sqs:ReceiveMessage, sqs:DeleteMessage, sqs:GetQueueAttributes]
                    Resource: !GetAtt Queue.Arn

        Outputs:
          QueueUrl:
            Description: For feedback.queue_url.
            Value: !Ref Queue
          ConfigurationSetName:
            Description: For ses.configuration_set.
            Value: !Ref ConfigurationSet
          DeadLetterQueueUrl:
            Description: The queue of messages that the relay could not store.
            Value: !Ref DeadLetterQueue
          RelayPolicyArn:
            Description: The policy to attach to the relay's user or role if no parameter names it.
            Value: !Ref RelayPolicy
          RelaySettings:
            Description: The lines for relay.yaml. Restart the relay afterwards.
            Value: !Sub |
              ses:
                region: ${AWS::Region}
                configuration_set: ${ConfigurationSet}
              feedback:
                queue_url: ${Queue}

        """#
}
