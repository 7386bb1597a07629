"""Cloudflare R2: two buckets, the Iceberg catalog, and a token for each use.

Objects of the artifacts bucket never expire by age: a channel may name an old one. `materia
artifact prune` deletes those that no channel names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_cloudflare as cloudflare

from materia_infra.settings import Settings

ITEM_WRITE = "Workers R2 Storage Bucket Item Write"
CATALOG_WRITE = "Workers R2 Data Catalog Write"
ABANDONED_UPLOAD_SECONDS = 7 * 24 * 3600


def make_storage(settings: Settings) -> Mapping[str, pulumi.Output[str]]:
    """Make the buckets and tokens; returns what runs need to use them."""
    artifacts = _bucket(settings, "artifacts", settings.artifacts_bucket)
    data = _bucket(settings, "data", settings.data_bucket)
    groups = _Groups(settings)
    # Workers get the token of the data alone: artifacts are what the supervisor runs, as root.
    token = _token(settings, "artifacts", [groups.policy(ITEM_WRITE, groups.bucket(artifacts))])
    of_data = groups.policy(ITEM_WRITE, groups.bucket(data))
    made = {
        "artifactsBucket": artifacts.name.apply(lambda name: f"s3://{name}/materia"),
        "dataBucket": data.name,
        "endpoint": pulumi.Output.from_input(settings.endpoint),
        "artifactsKeyId": token.id,
        "artifactsKeySecret": _secret(token.value.apply(s3_secret)),
    }
    if settings.catalog:
        cloudflare.R2DataCatalog("catalog", account_id=settings.account, bucket_name=data.name)
        account = pulumi.Output.from_input(f"com.cloudflare.api.account.{settings.account}")
        catalog = _token(settings, "catalog", [groups.policy(CATALOG_WRITE, account), of_data])
        made |= {
            "catalogToken": _secret(catalog.value),
            "catalogKeyId": catalog.id,
        }
    else:
        sink = _token(settings, "data", [of_data])
        made |= {
            "dataKeyId": sink.id,
            "dataKeySecret": _secret(sink.value.apply(s3_secret)),
        }
    return made


def s3_secret(value: str) -> str:
    """The secret access key of a token: the SHA-256 of its value (developers.cloudflare.com)."""
    return hashlib.sha256(value.encode()).hexdigest()


def _secret(value: pulumi.Output[str]) -> pulumi.Output[str]:
    """*value*, encrypted in the state and hidden in what Pulumi prints."""
    hidden: pulumi.Output[str] = pulumi.Output.secret(value)
    return hidden


def _bucket(settings: Settings, what: str, name: str) -> cloudflare.R2Bucket:
    bucket = cloudflare.R2Bucket(
        what,
        account_id=settings.account,
        name=name,
        location=settings.location,
        jurisdiction=settings.jurisdiction,
        storage_class="Standard",
        opts=pulumi.ResourceOptions(protect=settings.protect),
    )
    cloudflare.R2BucketLifecycle(
        what,
        account_id=settings.account,
        bucket_name=bucket.name,
        jurisdiction=settings.jurisdiction,
        rules=[
            cloudflare.R2BucketLifecycleRuleArgs(
                id="abandoned-uploads",
                enabled=True,
                conditions=cloudflare.R2BucketLifecycleRuleConditionsArgs(prefix=""),
                abort_multipart_uploads_transition=(
                    cloudflare.R2BucketLifecycleRuleAbortMultipartUploadsTransitionArgs(
                        condition=cloudflare.R2BucketLifecycleRuleAbortMultipartUploadsTransitionConditionArgs(
                            type="Age", max_age=ABANDONED_UPLOAD_SECONDS
                        )
                    )
                ),
            )
        ],
    )
    return bucket


class _Groups:
    """Cloudflare's permission groups, which a token names by their ids."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found = cloudflare.get_account_api_token_permission_groups_list_output(
            account_id=settings.account
        )

    def policy(self, group: str, resource: pulumi.Output[str]) -> cloudflare.AccountTokenPolicyArgs:
        """Allow what *group* may on the resource."""

        def identity(
            found: cloudflare.GetAccountApiTokenPermissionGroupsListResult,
        ) -> str:
            for one in found.results:
                if one.name == group:
                    return str(one.id)
            raise ValueError(f"Cloudflare has no permission group called {group!r}")

        return cloudflare.AccountTokenPolicyArgs(
            effect="allow",
            permission_groups=[
                cloudflare.AccountTokenPolicyPermissionGroupArgs(id=self._found.apply(identity))
            ],
            resources=resource.apply(lambda name: json.dumps({name: "*"})),
        )

    def bucket(self, bucket: cloudflare.R2Bucket) -> pulumi.Output[str]:
        """The bucket as the resource of a policy."""
        settings = self._settings
        begin = f"com.cloudflare.edge.r2.bucket.{settings.account}_{settings.jurisdiction}_"
        return bucket.name.apply(lambda name: begin + name)


def _token(
    settings: Settings, what: str, policies: Sequence[cloudflare.AccountTokenPolicyArgs]
) -> cloudflare.AccountToken:
    return cloudflare.AccountToken(
        what,
        account_id=settings.account,
        name=f"materia-{what}-{settings.stack}",
        policies=list(policies),
    )
