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
    # The sink `s3` uses the same two variables as the bucket of artifacts.
    used = [artifacts] if settings.catalog else [artifacts, data]
    token = _token(settings, "artifacts", [groups.policy(ITEM_WRITE, groups.buckets(used))])
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
        policies = [
            groups.policy(CATALOG_WRITE, account),
            groups.policy(ITEM_WRITE, groups.buckets([data])),
        ]
        catalog = _token(settings, "catalog", policies)
        made |= {
            "catalogToken": _secret(catalog.value),
            "catalogKeyId": catalog.id,
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

    def policy(
        self, group: str, resources: pulumi.Output[str]
    ) -> cloudflare.AccountTokenPolicyArgs:
        """Allow what *group* may on the resource or the resources, names joined by spaces."""

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
            resources=resources.apply(lambda names: json.dumps(dict.fromkeys(names.split(), "*"))),
        )

    def buckets(self, buckets: Sequence[cloudflare.R2Bucket]) -> pulumi.Output[str]:
        """The buckets as resources of a policy."""
        settings = self._settings
        begin = f"com.cloudflare.edge.r2.bucket.{settings.account}_{settings.jurisdiction}_"
        names = [bucket.name.apply(lambda name: begin + name) for bucket in buckets]
        return pulumi.Output.all(*names).apply(" ".join)


def _token(
    settings: Settings, what: str, policies: Sequence[cloudflare.AccountTokenPolicyArgs]
) -> cloudflare.AccountToken:
    return cloudflare.AccountToken(
        what,
        account_id=settings.account,
        name=f"materia-{what}-{settings.stack}",
        policies=list(policies),
    )
