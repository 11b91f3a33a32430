"""Parts of gitOpsUpdateDeployment: images, the plan of each target, its checks, branches."""
